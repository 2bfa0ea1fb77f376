package controller

import (
	"encoding/json"
	"fmt"
	"io"
	"net/http"
	"time"

	"github.com/gin-gonic/gin"

	"menshen/model"
	"menshen/service"
)

// Dev serves the data of the pages of development, which env dev alone has.
type Dev struct {
	Inbox    *service.Inbox
	Sessions *service.Sessions
	Admin    Admin
	Now      func() time.Time // for the deadlines of connections
}

// inboxView is a message as its receiver sees it, with number and code in clear.
type inboxView struct {
	ID          string        `json:"id"`
	At          model.Time    `json:"at"`
	Mobile      string        `json:"mobile"`
	Code        string        `json:"code"`
	Purpose     model.Purpose `json:"purpose"`
	Language    string        `json:"language"`
	CompanyType int32         `json:"companyType"`
	ProductType int32         `json:"productType"`
	Text        string        `json:"text"`
}

func viewInbox(m service.InboxMessage) inboxView {
	return inboxView{
		ID: m.ID, At: m.At, Mobile: m.Mobile.E164(), Code: string(m.Code), Purpose: m.Purpose, Language: m.Language,
		CompanyType: m.CompanyType, ProductType: m.ProductType, Text: m.Text,
	}
}

// Messages is GET /dev/sms.json?mobile=.
func (h Dev) Messages(c *gin.Context) (any, error) {
	q := query{c: c}
	text := h.Admin.Admin.Numbers.FromQuery(q.text("mobile"))
	if q.err != nil {
		return nil, q.err
	}
	var mobile model.Mobile
	if text != "" {
		var err error
		if mobile, err = h.Admin.Admin.Numbers.Parse(text); err != nil {
			return nil, err
		}
	}
	return struct {
		Items []inboxView `json:"items"`
	}{viewEach(h.Inbox.List(mobile.E164()), viewInbox)}, nil
}

// Events is GET /dev/sms/events: each new message as a server-sent event.
func (h Dev) Events(c *gin.Context) (any, error) {
	messages, leave, err := h.Inbox.Follow()
	if err != nil {
		return nil, err
	}
	defer leave()
	c.Header("Content-Type", "text/event-stream; charset=utf-8")
	c.Header("Cache-Control", "no-store")
	c.Writer.WriteHeaderNow()
	if c.Request.Method == http.MethodHead || !h.send(c, retryHint) {
		return nil, nil
	}
	beat := time.NewTicker(heartbeatEvery)
	defer beat.Stop()
	for {
		text := heartbeat
		select {
		case <-c.Request.Context().Done():
			return nil, nil
		case m, open := <-messages:
			if !open {
				return nil, nil
			}
			data, err := json.Marshal(viewInbox(m))
			if err != nil {
				return nil, fmt.Errorf("encode message: %w", err)
			}
			text = "event: sms\ndata: " + string(data) + "\n\n"
		case <-beat.C:
		}
		if !h.send(c, text) {
			return nil, nil
		}
	}
}

// send reports whether the text was written.
func (h Dev) send(c *gin.Context, text string) bool {
	control := http.NewResponseController(c.Writer)
	if err := control.SetWriteDeadline(h.Now().Add(writeTime)); err != nil {
		return false
	}
	if _, err := io.WriteString(c.Writer, text); err != nil {
		return false
	}
	return control.Flush() == nil
}

// Session is GET /dev/sessions/{sid}.
func (h Dev) Session(c *gin.Context) (any, error) {
	session, state, err := h.Sessions.Look(c.Request.Context(), c.Param("sid"))
	return struct {
		State      service.LoginState `json:"state"`
		Generation int64              `json:"generation"`
	}{state, session.Gen}, err
}
