package model

import (
	"errors"
	"time"
)

// The languages of sentences and of messages, as the configuration names them.
const (
	LanguageZhCN = "zh-CN"
	LanguageEn   = "en"
)

// Message is a verification code on its way to a mobile number.
type Message struct {
	ID          string // the same for every try of one message: providers may use it against doubles
	Mobile      Mobile
	Code        Secret
	CompanyType int32
	ProductType int32
	Purpose     Purpose
	Language    string // LanguageZhCN or LanguageEn
	Expire      Time
	Life        time.Duration // from sending to Expire
}

// Minutes is the life of the code as a message tells it: whole minutes, at least
// one, rounded down so that no reader is promised more than there is.
func (m Message) Minutes() int { return max(1, int(m.Life/time.Minute)) }

// ErrSendRefused marks a definite refusal by a provider: nothing was or will be
// sent. Every other error of a sender leaves open whether the message arrives.
// A refusal because the provider's own limit of messages is reached wraps the
// failure of the table that says so, with the time after which to try again.
var ErrSendRefused = errors.New("message refused")

// ErrChallengeFailed marks the definite no of a challenge's provider: the answer
// is wrong, too old or was used before. Every other error leaves it open.
var ErrChallengeFailed = errors.New("challenge failed")
