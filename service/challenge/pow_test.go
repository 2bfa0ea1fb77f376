package challenge

import (
	"context"
	"crypto/hmac"
	"crypto/pbkdf2"
	"crypto/sha256"
	"encoding/base64"
	"encoding/binary"
	"encoding/hex"
	"encoding/json"
	"errors"
	"fmt"
	"strings"
	"testing"
	"time"

	"menshen/model"
)

// table is where puzzles are spent.
type table struct {
	spent map[string]model.Time
	sent  int // codes of a block without a number of its own in blocks
	block map[string]int
	fail  error
}

func (t *table) spend(_ context.Context, id []byte, expires model.Time) (bool, error) {
	if t.fail != nil {
		return false, t.fail
	}
	_, known := t.spent[string(id)]
	t.spent[string(id)] = expires
	return !known, nil
}

func newPow() (*Pow, *table) {
	kept := &table{spent: map[string]model.Time{}, block: map[string]int{}}
	sign := func(text []byte) []byte {
		mac := hmac.New(sha256.New, []byte("secret"))
		mac.Write(text)
		return mac.Sum(nil)
	}
	return &Pow{
		Sign: sign, Signed: func(text, signature []byte) bool { return hmac.Equal(signature, sign(text)) }, Spend: kept.spend,
		Sent: func(_ context.Context, block string, since model.Time) (int, error) {
			if since != client.At.Add(-10*time.Minute) {
				return 0, fmt.Errorf("since %s", since)
			}
			return kept.sent + kept.block[block], kept.fail
		},
	}, kept
}

// posed is a puzzle as a client reads it.
type posed struct {
	Parameters map[string]any `json:"parameters"`
	Signature  string         `json:"signature"`
}

func pose(t *testing.T, p *Pow, asker model.Asker) posed {
	t.Helper()
	params, err := p.Params(t.Context(), asker)
	if err != nil {
		t.Fatal(err)
	}
	text, _ := json.Marshal(params)
	var c posed
	if err := json.Unmarshal(text, &c); err != nil {
		t.Fatal(err)
	}
	return c
}

func unhex(t *testing.T, text any) []byte {
	t.Helper()
	raw, err := hex.DecodeString(text.(string))
	if err != nil {
		t.Fatal(err)
	}
	return raw
}

// solve solves a puzzle as the scheme says, with none of the code that made it.
func (c posed) solve(t *testing.T) (counter int, key string) {
	t.Helper()
	nonce, salt, prefix := unhex(t, c.Parameters["nonce"]), unhex(t, c.Parameters["salt"]), c.Parameters["keyPrefix"].(string)
	for ; ; counter++ {
		password := binary.BigEndian.AppendUint32(append([]byte{}, nonce...), uint32(counter))
		derived, err := pbkdf2.Key(sha256.New, string(password), salt, int(c.Parameters["cost"].(float64)), int(c.Parameters["keyLength"].(float64)))
		if err != nil {
			t.Fatal(err)
		}
		if key = hex.EncodeToString(derived); strings.HasPrefix(key, prefix) {
			return counter, key
		}
	}
}

// answer is the payload of the widget.
func (c posed) answer(counter int, key string) model.Secret {
	text, _ := json.Marshal(map[string]any{"challenge": c, "solution": map[string]any{"counter": counter, "derivedKey": key, "time": 12.3}})
	return encoded(string(text))
}

func encoded(text string) model.Secret {
	return model.Secret(base64.StdEncoding.EncodeToString([]byte(text)))
}

func wantFailed(t *testing.T, name string, err error) {
	t.Helper()
	if !errors.Is(err, model.ErrChallengeFailed) || len(err.Error()) > 100 {
		t.Errorf("%s: error %v", name, err)
	}
}

func TestPow(t *testing.T) {
	p, kept := newPow()
	c := pose(t, p, client)
	if c.Parameters["algorithm"] != "PBKDF2/SHA-256" || c.Parameters["keyLength"] != 32.0 || c.Parameters["expiresAt"] != float64(client.At.Unix()+120) || len(c.Parameters) != 8 {
		t.Errorf("parameters %v", c.Parameters)
	}
	counter, key := c.solve(t)
	answer := c.answer(counter, key)
	if len(answer) > 8<<10 {
		t.Errorf("an answer of %d bytes", len(answer))
	}
	for name, other := range map[string]model.Asker{
		"another number":        {Number: []byte("another"), IP: client.IP, At: client.At},
		"another block":         {Number: client.Number, IP: "192.0.3.1", At: client.At},
		"an unknown address":    {Number: client.Number, At: client.At},
		"two minutes later":     {Number: client.Number, IP: client.IP, At: client.At.Add(2 * time.Minute)},
		"a number with a block": {Number: []byte("1.0/24|number"), IP: "192.0.2.1", At: client.At},
	} {
		wantFailed(t, name, p.Verify(t.Context(), answer, other))
	}
	if len(kept.spent) != 0 {
		t.Error("a refused answer was stored")
	}
	neighbour := model.Asker{Number: client.Number, IP: "192.0.2.99", At: client.At.Add(119 * time.Second)}
	if err := p.Verify(t.Context(), answer, neighbour); err != nil {
		t.Errorf("error %v", err)
	}
	for _, expires := range kept.spent {
		if expires != client.At.Add(2*time.Minute) {
			t.Errorf("needed until %s", expires)
		}
	}
}

// TestPowIsSpent: the puzzle, however its answer is written.
func TestPowIsSpent(t *testing.T) {
	p, kept := newPow()
	c := pose(t, p, client)
	counter, key := c.solve(t)
	if err := p.Verify(t.Context(), c.answer(counter, key), client); err != nil {
		t.Fatal(err)
	}
	plain, _ := base64.StdEncoding.DecodeString(string(c.answer(counter, key)))
	upper := c
	upper.Signature = strings.ToUpper(c.Signature)
	for name, answer := range map[string]model.Secret{
		"the same":             c.answer(counter, key),
		"another time":         encoded(strings.Replace(string(plain), "12.3", "4", 1)),
		"blanks":               encoded(" " + strings.ReplaceAll(string(plain), `,"`, "\n, \"") + " "),
		"more members":         encoded(`{"x":1,` + string(plain[1:])),
		"another case":         upper.answer(counter, key),
		"members in capitals":  encoded(strings.Replace(string(plain), `"nonce"`, `"NONCE"`, 1)),
		"another counter":      c.answer(counter+1, key),
		"the counter as 1e0·n": encoded(strings.Replace(string(plain), fmt.Sprintf(`"counter":%d`, counter), fmt.Sprintf(`"counter":%d.0`, counter), 1)),
	} {
		wantFailed(t, name, p.Verify(t.Context(), answer, client))
	}
	if len(kept.spent) != 1 {
		t.Errorf("%d rows", len(kept.spent))
	}
}

// TestPowIsHard: nothing but the work gives a right answer.
func TestPowIsHard(t *testing.T) {
	p, kept := newPow()
	c := pose(t, p, client)
	counter, key := c.solve(t)
	change := func(name string, value any) model.Secret {
		other := posed{map[string]any{}, c.Signature}
		for k, v := range c.Parameters {
			other.Parameters[k] = v
		}
		other.Parameters[name] = value
		counter, key := counter, key
		if name == "keyPrefix" {
			counter, key = other.solve(t)
		}
		return other.answer(counter, key)
	}
	unsigned := c
	unsigned.Signature = ""
	prefix := c.Parameters["keyPrefix"].(string)
	another := posed{map[string]any{"keyPrefix": ""}, ""}
	for _, name := range []string{"nonce", "salt", "cost", "keyLength"} {
		another.Parameters[name] = c.Parameters[name]
	}
	_, firstKey := another.solve(t) // that of the counter 0
	for name, answer := range map[string]model.Secret{
		"a wrong counter":      c.answer(counter+1, key),
		"a key that is none":   c.answer(0, firstKey),
		"a negative counter":   c.answer(-1, key),
		"a long counter":       c.answer(1<<32+counter, key),
		"the prefix as key":    c.answer(counter, prefix+strings.Repeat("0", 32)),
		"the prefix alone":     c.answer(counter, prefix),
		"no key":               c.answer(counter, ""),
		"a key in capitals":    c.answer(counter, strings.ToUpper(key)),
		"a lower cost":         change("cost", 1),
		"a shorter prefix":     change("keyPrefix", "00"),
		"no prefix":            change("keyPrefix", ""),
		"a later end":          change("expiresAt", client.At.Unix()+1000),
		"another salt":         change("salt", strings.Repeat("0", 32)),
		"another nonce":        change("nonce", strings.Repeat("0", 32)),
		"a nonce in capitals":  change("nonce", strings.ToUpper(c.Parameters["nonce"].(string))+"A"),
		"another algorithm":    change("algorithm", "SHA-256"),
		"another purpose":      change("data", map[string]any{"for": ""}),
		"a purpose by itself":  change("data", map[string]any{"for": c.Signature}),
		"a shorter key":        change("keyLength", 1),
		"without a signature":  unsigned.answer(counter, key),
		"a test":               encoded(`{"challenge":null,"solution":null,"test":true}`),
		"nothing":              "",
		"no base64":            "{}",
		"no JSON":              encoded("hush"),
		"null":                 encoded("null"),
		"a list":               encoded("[]"),
		"an answer, twice":     encoded(strings.Repeat("{}", 2)),
		"base64url":            model.Secret(strings.TrimRight(string(c.answer(counter, key)), "=") + "-_"),
		"of another secret":    foreign(t, c).answer(counter, key),
		"cost beyond an int":   encoded(`{"challenge":{"parameters":{"cost":1e99}}}`),
		"nonce that is no hex": change("nonce", "x"),
	} {
		wantFailed(t, name, p.Verify(t.Context(), answer, client))
	}
	if len(kept.spent) != 0 {
		t.Errorf("%d rows", len(kept.spent))
	}
	if err := p.Verify(t.Context(), c.answer(counter, key), client); err != nil {
		t.Errorf("error %v", err)
	}
}

func foreign(t *testing.T, c posed) posed {
	t.Helper()
	p, _ := newPow()
	p.Sign = func(text []byte) []byte { sum := sha256.Sum256(text); return sum[:] }
	other := pose(t, p, client)
	c.Signature = other.Signature
	return c
}

// TestPowCosts: the work rises with the codes of the block, in each step and up to a bound,
// and what the server does rises less.
func TestPowCosts(t *testing.T) {
	p, kept := newPow()
	cost := func(asker model.Asker) float64 { return pose(t, p, asker).Parameters["cost"].(float64) }
	other := client
	other.IP = "198.51.100.1"
	kept.block["192.0.2.0/24"] = 100
	if busy, calm := cost(client), cost(other); calm != 1000 || busy <= calm {
		t.Errorf("costs %g and %g", busy, calm)
	}
	if number := (model.Asker{Number: []byte("x"), IP: other.IP, At: other.At}); cost(number) != 1000 {
		t.Error("another number costs more")
	}
	for sent := 1; sent <= 318; sent++ {
		lastCost, lastCounters := effort(sent - 1)
		if cost, counters := effort(sent); cost <= lastCost || counters < lastCounters || cost > 3600 || counters > 900 {
			t.Errorf("%d codes: %d iterations, %d keys", sent, cost, counters)
		}
	}
	least, _ := effort(0)
	most, mostCounters := effort(1_000_000)
	if capped, _ := effort(318); least != 1000 || most != capped || most*mostCounters > 160*20*1000 || most*mostCounters < 158*20*1000 {
		t.Errorf("%d and %d × %d iterations", least, most, mostCounters)
	}
}

// TestPowFaults: a fault of the storage is no wrong answer.
func TestPowFaults(t *testing.T) {
	p, kept := newPow()
	c := pose(t, p, client)
	kept.fail = model.ErrUnavailable
	if err := p.Verify(t.Context(), c.answer(c.solve(t)), client); !errors.Is(err, model.ErrUnavailable) || errors.Is(err, model.ErrChallengeFailed) {
		t.Errorf("error %v", err)
	}
	if _, err := p.Params(t.Context(), client); !errors.Is(err, model.ErrUnavailable) {
		t.Errorf("error %v", err)
	}
}

// FuzzPow: no answer is a fault, and none that was not solved is right.
func FuzzPow(f *testing.F) {
	p, _ := newPow()
	f.Add("e30=")
	f.Add(string(encoded(`{"challenge":{"parameters":{"nonce":"00","salt":"","keyLength":-1,"cost":-1,"data":{"for":"00"}},"signature":"00"},"solution":{"counter":0}}`)))
	f.Fuzz(func(t *testing.T, answer string) {
		if err := p.Verify(t.Context(), model.Secret(answer), client); !errors.Is(err, model.ErrChallengeFailed) {
			t.Errorf("error %v", err)
		}
	})
}
