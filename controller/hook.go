package controller

import (
	"net/http"
	"time"

	"github.com/gin-gonic/gin"

	"menshen/middleware"
	"menshen/model"
	"menshen/service/code"
)

// Hooks takes the receipts of vendors.
type Hooks struct {
	Receipts *code.Receipts
	// Twilio reads a form that was posted to the route with the token. It must verify the
	// signature.
	Twilio  func(header http.Header, token string, body []byte) ([]model.Receipt, error)
	Aliyun  func(body []byte) ([]model.Receipt, error)
	Tencent func(body []byte) ([]model.Receipt, error)
}

// TakeAliyun is POST /hooks/sms/aliyun/{token}.
func (h Hooks) TakeAliyun(c *gin.Context) (any, error) {
	return h.takeJSON(c, h.Aliyun, `{"code":0,"msg":"成功"}`)
}

// TakeTencent is POST /hooks/sms/tencent/{token}.
func (h Hooks) TakeTencent(c *gin.Context) (any, error) {
	return h.takeJSON(c, h.Tencent, `{"result":0,"errmsg":"OK"}`)
}

func (h Hooks) takeJSON(c *gin.Context, read func([]byte) ([]model.Receipt, error), answer string) (any, error) {
	body, err := middleware.ReadBody(c.Request, middleware.MaxHook)
	if err != nil {
		return nil, err
	}
	receipts, err := read(body)
	if err != nil {
		return nil, model.MalformedField("body", model.ReasonFormat).Wrap(err)
	}
	return nil, h.take(c, receipts, "application/json; charset=utf-8", answer)
}

// TakeTwilio is POST /hooks/sms/twilio/{token}.
func (h Hooks) TakeTwilio(c *gin.Context) (any, error) {
	if err := checkMediaType(c.Request.Header, typeForm); err != nil {
		return nil, err
	}
	body, err := middleware.ReadBody(c.Request, middleware.MaxHook)
	if err != nil {
		return nil, err
	}
	receipts, err := h.Twilio(c.Request.Header, c.Param("token"), body)
	if err != nil {
		return nil, err
	}
	return nil, h.take(c, receipts, "text/xml; charset=utf-8", "<Response/>")
}

// take records the receipts and answers as the vendor expects.
func (h Hooks) take(c *gin.Context, receipts []model.Receipt, contentType, answer string) error {
	if err := h.Receipts.Take(c.Request.Context(), receipts...); err != nil {
		return err
	}
	c.Header("Cache-Control", "no-store")
	c.Data(http.StatusOK, contentType, []byte(answer))
	return nil
}

// providerWebhook is the value of sms.provider.
const providerWebhook = "webhook"

// maxReason bounds the reason of a receipt, in characters.
const maxReason = 256

// TakeWebhook is POST /hooks/sms/webhook {"id","state","reason"?,"at"?}. The body is signed.
func (h Hooks) TakeWebhook(c *gin.Context) (any, error) {
	body, err := readObject(c)
	if err != nil {
		return nil, err
	}
	receipt := model.Receipt{Provider: providerWebhook, MessageID: body.String("id", maxText), State: model.MessageState(body.String("state", maxText))}
	if receipt.State != model.MessageDelivered && receipt.State != model.MessageUndelivered {
		body.Reject("state", model.ReasonUnknown)
	}
	if reason, given := body.OptionalString("reason", maxReason); given && receipt.State == model.MessageUndelivered {
		receipt.Reason = reason
	}
	if text, given := body.OptionalString("at", maxText); given {
		at, err := time.Parse(time.RFC3339, text)
		if err != nil {
			body.Reject("at", model.ReasonFormat)
		}
		receipt.At = model.TimeOf(at)
	}
	if err := body.Err(); err != nil {
		return nil, err
	}
	return nil, h.Receipts.Take(c.Request.Context(), receipt)
}
