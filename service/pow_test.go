package service_test

import (
	"crypto/pbkdf2"
	"crypto/sha256"
	"encoding/base64"
	"encoding/binary"
	"encoding/hex"
	"encoding/json"
	"slices"
	"strings"
	"testing"
	"time"

	"menshen/model"
	"menshen/repository"
	"menshen/service/code"
)

// puzzled is the setup of deployments with puzzles, which a number's second code of an hour
// demands.
var puzzled = setup{
	settings: []string{"CHALLENGE_PROVIDERS=pow", "CODE_PER_MOBILE_HOUR=0", "CODE_PER_MOBILE_DAY=4"},
	catalog:  standard.catalog,
}

// puzzle is a puzzle as a client reads it.
type puzzle struct {
	Parameters struct {
		Algorithm string            `json:"algorithm"`
		Cost      int               `json:"cost"`
		Data      map[string]string `json:"data"`
		ExpiresAt int64             `json:"expiresAt"`
		KeyLength int               `json:"keyLength"`
		KeyPrefix string            `json:"keyPrefix"`
		Nonce     string            `json:"nonce"`
		Salt      string            `json:"salt"`
	} `json:"parameters"`
	Signature string `json:"signature"`
}

// solution is the widget's payload.
func (p puzzle) solution(t testing.TB, comment string) model.Secret {
	t.Helper()
	nonce, nonceErr := hex.DecodeString(p.Parameters.Nonce)
	salt, saltErr := hex.DecodeString(p.Parameters.Salt)
	if nonceErr != nil || saltErr != nil || p.Parameters.Algorithm != "PBKDF2/SHA-256" {
		t.Fatalf("puzzle %+v", p)
	}
	for counter := uint32(0); ; counter++ {
		key, err := pbkdf2.Key(sha256.New, string(binary.BigEndian.AppendUint32(nonce[:16:16], counter)), salt, p.Parameters.Cost, p.Parameters.KeyLength)
		if err != nil {
			t.Fatal(err)
		}
		if found := hex.EncodeToString(key); strings.HasPrefix(found, p.Parameters.KeyPrefix) {
			text, _ := json.Marshal(map[string]any{"challenge": p, "solution": map[string]any{"counter": counter, "derivedKey": found}, "comment": comment})
			return model.Secret(base64.StdEncoding.EncodeToString(text))
		}
	}
}

// posed requests a code, which must be refused with a puzzle.
func (in *instance) posed(want *model.Failure, mobile string, change ...func(r *code.SendRequest)) puzzle {
	in.t.Helper()
	before := len(in.phone.messages())
	_, err := in.sendCode(mobile, change...)
	wantFailure(in.t, err, want)
	text, _ := json.Marshal(model.AsFailure(err).Data())
	var data struct {
		Challenge struct {
			Provider     string
			SiteKey      *string
			Params       puzzle
			Alternatives []any
		}
	}
	err = json.Unmarshal(text, &data)
	if c := data.Challenge; err != nil || c.Provider != "pow" || c.SiteKey == nil || *c.SiteKey != "" || c.Alternatives == nil || len(in.phone.messages()) != before {
		in.t.Fatalf("error %v, data %s", err, text)
	}
	return data.Challenge.Params
}

// TestPuzzles: a puzzle is good for its number and block, once in the whole deployment.
func TestPuzzles(t *testing.T) {
	eachDB(t, func(t *testing.T, db *repository.DB) {
		d := newDeployment(t, db, puzzled)
		in, other := d.another(), d.another()
		for _, mobile := range []string{alice, bob} {
			for range 4 {
				in.wantSent(mobile)
			}
		}
		elsewhere := fromIP("198.51.100.7")
		t.Run("spent over two instances at once", func(t *testing.T) {
			posed := in.posed(model.ErrDailyLimit, alice)
			answers := []model.Secret{posed.solution(t, "one"), posed.solution(t, "another")}
			errs := race(8, func(i int) error {
				_, err := []*instance{in, other}[i%2].sendCode(alice, answering(answers[i/2%2]))
				return err
			})
			wantWinners(t, errs, 1, model.ErrDailyLimit)
			other.posed(model.ErrDailyLimit, alice, answering(answers[0]))
			other.posed(model.ErrDailyLimit, alice, answering(posed.solution(t, "a third")))
			if n := in.count("SELECT COUNT(*) FROM puzzles"); n != 1 {
				t.Errorf("%d rows", n)
			}
		})
		t.Run("of another number, block or time", func(t *testing.T) {
			answer := in.posed(model.ErrDailyLimit, bob).solution(t, "")
			in.posed(model.ErrDailyLimit, alice, answering(answer))
			in.posed(model.ErrDailyLimit, bob, answering(answer), elsewhere)
			d.clock.Advance(2*time.Minute - time.Second)
			in.posed(model.ErrDailyLimit, bob, answering(answer), elsewhere)
			other.wantPool(model.SendChallenged, bob, answering(answer))
			late := in.posed(model.ErrDailyLimit, bob).solution(t, "")
			d.clock.Advance(2 * time.Minute)
			in.posed(model.ErrDailyLimit, bob, answering(late))
		})
		t.Run("nothing is sent once the challenged pool is used up", func(t *testing.T) {
			in.wantPool(model.SendChallenged, bob, answering(in.posed(model.ErrDailyLimit, bob).solution(t, "")))
			answer := in.posed(model.ErrDailyLimit, bob).solution(t, "")
			before := len(in.phone.messages())
			_, err := in.sendCode(bob, answering(answer))
			wantFailure(t, err, model.ErrDailyLimit)
			if data := model.AsFailure(err).Data(); data != nil || len(in.phone.messages()) != before {
				t.Errorf("data %v", data)
			}
		})
		t.Run("the demand of the block, not of the number", func(t *testing.T) {
			cost := func(change ...func(r *code.SendRequest)) int {
				return in.posed(model.ErrDailyLimit, alice, change...).Parameters.Cost
			}
			d.clock.Advance(11 * time.Minute)
			calm := cost(elsewhere)
			costs := []int{calm}
			for i := range 3 {
				for j := range 4 {
					in.wantSent(numbered(10*i+j), elsewhere)
				}
				costs = append(costs, cost(fromIP("198.51.100.200")))
			}
			if !slices.IsSorted(costs) || len(slices.Compact(costs)) != 4 || cost(fromIP("203.0.113.1")) != calm {
				t.Errorf("costs %v", costs)
			}
			d.clock.Advance(10 * time.Minute)
			if cost(elsewhere) != calm {
				t.Error("the demand of a while ago still counts")
			}
		})
		t.Run("a secret that was exchanged", func(t *testing.T) {
			answer := in.posed(model.ErrDailyLimit, alice).solution(t, "")
			d.holds = []byte{'n', 'k'}
			d.another().wantPool(model.SendChallenged, alice, answering(answer))
		})
	})
}
