package model

import "errors"

// Message is a verification code on its way to a mobile number.
type Message struct {
	ID          string // the same for every try of one message: providers may use it against doubles
	Mobile      Mobile
	Code        Secret
	CompanyType int32
	ProductType int32
	Purpose     Purpose
	Expire      Time
}

// ErrSendRefused marks a definite refusal by a provider: nothing was or will be
// sent. Every other error of a sender leaves open whether the message arrives.
var ErrSendRefused = errors.New("message refused")
