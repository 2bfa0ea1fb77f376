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
	ID          string // the same for every try of one message: providers may use it to drop duplicates
	Mobile      Mobile
	Code        Secret
	CompanyType int32
	ProductType int32
	Region      string // ISO 3166, of the number
	Domain      string // of the product, for autofill; "" if it has none
	AppHash     string // of the product's Android app; "" if it has none
	Purpose     Purpose
	Language    string // LanguageZhCN or LanguageEn
	Expire      Time
	Life        time.Duration // from sending to Expire
}

// Minutes is the life of the code in the text of the message: whole minutes, at
// least 1. It is rounded down, so that the text does not promise too much.
func (m Message) Minutes() int { return max(1, int(m.Life/time.Minute)) }

// ErrSendRefused marks a definite refusal by a provider: the message was not and will
// not be sent. After any other error of a sender the message may arrive. If the
// provider's own limit of messages is reached, the error also wraps the failure of
// the table for that limit, with the time after which the client may retry.
var ErrSendRefused = errors.New("message refused")

// ErrChallengeFailed marks a definite refusal by the provider of a challenge: the
// answer is wrong, too old or used before. After any other error the answer may be
// right.
var ErrChallengeFailed = errors.New("challenge failed")
