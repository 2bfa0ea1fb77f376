package controller

import (
	"github.com/gin-gonic/gin"

	"menshen/middleware"
	"menshen/model"
	"menshen/service/code"
)

// Code sends verification codes.
type Code struct{ Codes *code.Sender }

type codeView struct {
	Expire      model.Time `json:"expire"`
	ResendAfter int64      `json:"resendAfter"`
}

// maxChallenge bounds the answer to a challenge, in bytes.
const maxChallenge = 8 << 10

// Send is POST /auth/mobile/code.
func (h Code) Send(c *gin.Context) (any, error) {
	body, err := readObject(c)
	if err != nil {
		return nil, err
	}
	request := code.SendRequest{
		CompanyType: body.Int32("companyType"),
		Mobile:      body.Verbatim("mobile", maxText),
		ProductType: body.Int32("productType"),
		Purpose:     model.PurposeLogin,
		Language:    middleware.RequestOf(c).Language,
		Credential:  credentialOf(c),
		Caller:      callerOf(c),
	}
	if purpose, given := body.OptionalString("purpose", maxText); given {
		request.Purpose = model.Purpose(purpose)
		switch request.Purpose {
		case model.PurposeLogin, model.PurposeChange, model.PurposeDelete:
		default:
			body.Reject("purpose", model.ReasonUnknown)
		}
	}
	if answer, given := body.OptionalString("challenge", maxChallenge); given {
		request.Challenge = model.Secret(answer)
		if len(answer) > maxChallenge {
			body.Reject("challenge", model.ReasonLength)
		}
	}
	if vendor, given := body.OptionalString("challengeProvider", maxText); given {
		if request.Challenger = vendor; !h.Codes.Admission.Challenge.Offers(vendor) || vendor == "" {
			body.Reject("challengeProvider", model.ReasonUnknown)
		}
	}
	if err := body.Err(); err != nil {
		return nil, err
	}
	sent, err := h.Codes.Send(c.Request.Context(), request)
	return viewSent(c, sent), err
}

// viewSent is the view of a code that was sent. It sets the header of its ticket.
func viewSent(c *gin.Context, sent code.SendResult) codeView {
	if sent.Ticket != "" {
		c.Header(ticketHeader, string(sent.Ticket))
	}
	return codeView{Expire: sent.Expire, ResendAfter: sent.ResendAfter}
}
