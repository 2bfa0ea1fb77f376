package challenge

import (
	"bytes"
	"context"
	"crypto/pbkdf2"
	"crypto/rand"
	"crypto/sha256"
	"encoding/base64"
	"encoding/binary"
	"encoding/hex"
	"encoding/json"
	"fmt"
	"math"
	"math/big"
	"time"

	"menshen/model"
)

const (
	// PowLife is how long a puzzle may be answered.
	PowLife = 2 * time.Minute
	// powRecent is the time whose codes count as the demand of a block.
	powRecent = 10 * time.Minute
)

// Pow poses puzzles that cost a client processor time and need no vendor, no cookie and no
// other page. They are those of ALTCHA's proof of work, version 2, with
// PBKDF2 (https://altcha.org/docs/v2/proof-of-work-captcha), which its widget solves.
//
// The server chooses a counter and derives a key from it. The client gets the first half
// of the key and derives keys from 0, 1, 2 … until one begins with it. So the work
// has an upper bound, and a right answer shows that it was done. The server derives one
// key for a puzzle and one for an answer.
//
// A puzzle is signed, and so are the number and the address block that it is for. Spent is
// the puzzle, not the answer: nothing in an answer but the signed part identifies it.
type Pow struct {
	// Sign returns the signature of a text. Of all secrets of the deployment the current
	// one makes it.
	Sign func(text []byte) []byte
	// Signed reports whether one of the secrets made the signature.
	Signed func(text, signature []byte) bool
	// Sent counts the codes that were requested from an address block after since.
	Sent func(ctx context.Context, block string, since model.Time) (int, error)
	// Spend reports whether this call is the first of the whole deployment with the id.
	// It needs to remember it until expires.
	Spend func(ctx context.Context, id []byte, expires model.Time) (bool, error)
}

// puzzle holds the parameters of a challenge. Its members are in the order in which the
// scheme signs them: that of their names.
type puzzle struct {
	Algorithm string  `json:"algorithm"`
	Cost      int     `json:"cost"` // iterations of PBKDF2 for one key
	Data      purpose `json:"data"`
	ExpiresAt int64   `json:"expiresAt"` // Unix time in seconds
	KeyLength int     `json:"keyLength"`
	KeyPrefix string  `json:"keyPrefix"`
	Nonce     string  `json:"nonce"`
	Salt      string  `json:"salt"`
}

// purpose is what a puzzle may be used for, in the scheme's member for the server's data.
type purpose struct {
	For string `json:"for"` // MAC of number and block, so that it shows neither
}

// challenge is a puzzle with its signature, as clients receive it and send it back.
type challenge struct {
	Parameters puzzle `json:"parameters"`
	Signature  string `json:"signature"`
}

// payload is the answer of the widget.
type payload struct {
	Challenge challenge `json:"challenge"`
	Solution  struct {
		Counter    uint32 `json:"counter"`
		DerivedKey string `json:"derivedKey"`
	} `json:"solution"`
}

const (
	powAlgorithm = "PBKDF2/SHA-256"
	powKeySize   = 32
	powPrefix    = powKeySize / 2 // bytes of the key that the client gets
	powNonceSize = 16
)

// Params returns a new puzzle for the number and the block of the asker.
func (p *Pow) Params(ctx context.Context, asker model.Asker) (any, error) {
	sent, err := p.Sent(ctx, model.AddressBlock(asker.IP), asker.At.Add(-powRecent))
	if err != nil {
		return nil, err
	}
	cost, counters := effort(sent)
	random := make([]byte, 2*powNonceSize)
	_, _ = rand.Read(random) // never fails
	nonce, salt := random[:powNonceSize], random[powNonceSize:]
	above, err := rand.Int(rand.Reader, big.NewInt(int64(counters)))
	if err != nil {
		return nil, fmt.Errorf("pow: draw a counter: %w", err)
	}
	made := puzzle{
		Algorithm: powAlgorithm, Cost: cost, Data: p.purposeOf(asker), ExpiresAt: asker.At.Add(PowLife).Unix(), KeyLength: powKeySize,
		Nonce: hex.EncodeToString(nonce), Salt: hex.EncodeToString(salt),
	}
	key, err := made.key(uint32(counters) + uint32(above.Int64())) //nolint:gosec // both are small
	if err != nil {
		return nil, err
	}
	made.KeyPrefix = hex.EncodeToString(key[:powPrefix])
	return challenge{made, hex.EncodeToString(p.Sign(made.text()))}, nil
}

// Costs of a puzzle. A key of leastCost takes a phone about 1 ms.
const (
	leastCost     = 1000
	leastCounters = 20
	demandStep    = 2   // recent codes of a block that add the work of a block without any
	mostFactor    = 160 // times the least work: some 5 s of a phone
)

// effort returns how many iterations a key costs, and the least number of keys that a
// client has to derive; twice as many are the most. The product rises with the number of
// recent codes. The keys rise faster, since the server derives one of them too.
func effort(sent int) (cost, counters int) {
	root := math.Sqrt(math.Sqrt(min(1+float64(sent)/demandStep, mostFactor)))
	return int(leastCost * root), int(leastCounters * root * root * root)
}

// purposeOf binds a puzzle to the number and to the block of the address.
func (p *Pow) purposeOf(asker model.Asker) purpose {
	return purpose{hex.EncodeToString(p.Sign(purposeText(asker)))}
}

func purposeText(asker model.Asker) []byte {
	return append([]byte("for|"+model.AddressBlock(asker.IP)+"|"), asker.Number...)
}

// text is what is signed: the parameters in the scheme's canonical JSON.
func (p puzzle) text() []byte {
	text, _ := json.Marshal(p) // strings and integers always marshal
	return text
}

// key derives the key of a counter.
func (p puzzle) key(counter uint32) ([]byte, error) {
	nonce, nonceErr := hex.DecodeString(p.Nonce)
	salt, saltErr := hex.DecodeString(p.Salt)
	if nonceErr != nil || saltErr != nil {
		return nil, fmt.Errorf("pow: %w: its form", model.ErrChallengeFailed)
	}
	password := binary.BigEndian.AppendUint32(nonce, counter)
	return pbkdf2.Key(sha256.New, string(password), salt, p.Cost, p.KeyLength)
}

// Verify judges the widget's payload. It looks at the signature first, so that strangers
// choose neither the cost nor the purpose of a puzzle, and spends the puzzle last, so that
// only work leaves a row.
func (p *Pow) Verify(ctx context.Context, answer model.Secret, asker model.Asker) error {
	given, err := read(answer)
	if err != nil {
		return err
	}
	asked := given.Challenge.Parameters
	signature, signatureErr := hex.DecodeString(given.Challenge.Signature)
	owner, ownerErr := hex.DecodeString(asked.Data.For)
	expires := model.TimeOf(time.Unix(asked.ExpiresAt, 0))
	switch {
	case signatureErr != nil || !p.Signed(asked.text(), signature):
		return fmt.Errorf("pow: %w: its signature", model.ErrChallengeFailed)
	case ownerErr != nil || !p.Signed(purposeText(asker), owner):
		return fmt.Errorf("pow: %w: of another number or network", model.ErrChallengeFailed)
	case asker.At >= expires:
		return fmt.Errorf("pow: %w: too late", model.ErrChallengeFailed)
	}
	key, err := asked.key(given.Solution.Counter)
	if err != nil {
		return err
	}
	prefix, err := hex.DecodeString(asked.KeyPrefix)
	if err != nil || !bytes.HasPrefix(key, prefix) || hex.EncodeToString(key) != given.Solution.DerivedKey {
		return fmt.Errorf("pow: %w: its key", model.ErrChallengeFailed)
	}
	nonce, _ := hex.DecodeString(asked.Nonce) // key has decoded it
	first, err := p.Spend(ctx, nonce, expires)
	if err == nil && !first {
		return fmt.Errorf("pow: %w: spent", model.ErrChallengeFailed)
	}
	return err
}

// read decodes the payload: JSON in base64.
func read(answer model.Secret) (p payload, err error) {
	text, err := base64.StdEncoding.DecodeString(string(answer))
	if err != nil || json.Unmarshal(text, &p) != nil {
		return p, fmt.Errorf("pow: %w: its form", model.ErrChallengeFailed)
	}
	return p, nil
}
