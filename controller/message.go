package controller

import (
	"github.com/gin-gonic/gin"

	"menshen/model"
	"menshen/service"
)

type messageView struct {
	ID          int64              `json:"id"`
	At          model.Time         `json:"at"`
	Mobile      string             `json:"mobile"` // masked; "" once the account is deleted
	UserID      *int64             `json:"userId"`
	CompanyType int32              `json:"companyType"`
	ProductType int32              `json:"productType"`
	Purpose     model.Purpose      `json:"purpose"`
	Provider    string             `json:"provider"`
	MessageID   string             `json:"messageId"`
	State       model.MessageState `json:"state"`
	Reason      string             `json:"reason"`
	Text        textView           `json:"text"`
	ReportedAt  model.Time         `json:"reportedAt"`
	RedeemedAt  model.Time         `json:"redeemedAt"`
}

// ViewMessage is the view of a message for an operator. Commands print it too.
func ViewMessage(m model.TracedMessage) any {
	view := messageView{
		ID: m.ID, At: m.At, Mobile: m.Mobile, CompanyType: m.CompanyType, ProductType: m.ProductType, Purpose: m.Purpose, Provider: m.Provider,
		MessageID: m.MessageID, State: m.State, Reason: m.Reason, ReportedAt: m.ReportedAt, RedeemedAt: m.RedeemedAt,
	}
	view.Text.Zh, view.Text.En = m.Sentence()
	if m.UserID != 0 {
		view.UserID = &m.UserID
	}
	return view
}

// Messages is GET /admin/messages?mobile=&userId=&provider=&state=&cursor=.
func (h Admin) Messages(c *gin.Context) (any, error) {
	q := query{c: c}
	ask := service.MessageQuery{
		Mobile: h.Admin.Numbers.FromQuery(q.text("mobile")), UserID: q.id("userId"), Provider: q.text("provider"),
		State: model.MessageState(q.text("state")), Cursor: q.text("cursor"),
	}
	if q.err != nil {
		return nil, q.err
	}
	messages, next, err := h.Admin.Messages(c.Request.Context(), operatorOf(c), ask)
	list := listView{Items: viewEach(messages, ViewMessage)}
	if next != "" {
		list.Next = &next
	}
	return list, err
}
