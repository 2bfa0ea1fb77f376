package controller

import (
	"encoding/json"
	"strconv"
	"time"

	"github.com/gin-gonic/gin"

	"menshen/model"
	"menshen/service"
)

// Audit shows operators the log.
type Audit struct{ Audit *service.Audit }

type eventView struct {
	ID        int64           `json:"id"`
	At        model.Time      `json:"at"`
	Kind      model.Kind      `json:"kind"`
	Text      textView        `json:"text"`
	UserID    *int64          `json:"userId"`
	SessionID string          `json:"sessionId"`
	Actor     string          `json:"actor"`
	IP        string          `json:"ip"`
	Device    string          `json:"device"`
	RequestID string          `json:"requestId"`
	Detail    json.RawMessage `json:"detail"`
}

// textView is a sentence in both languages.
type textView struct {
	Zh string `json:"zh"`
	En string `json:"en"`
}

// ViewEvent is what an operator is shown of a line of the log, by commands too.
func ViewEvent(e model.Event) any {
	view := eventView{
		ID: e.ID, At: e.At, Kind: e.Kind, SessionID: e.SessionID, Actor: e.Actor, IP: e.IP, Device: e.Device,
		RequestID: e.RequestID, Detail: json.RawMessage("null"),
	}
	view.Text.Zh, view.Text.En = e.Sentence()
	if e.UserID != 0 {
		view.UserID = &e.UserID
	}
	if e.Detail != "" {
		view.Detail = json.RawMessage(e.Detail)
	}
	return view
}

func viewEvents(events []model.Event, next string) listView {
	views := make([]any, 0, len(events))
	for _, e := range events {
		views = append(views, ViewEvent(e))
	}
	list := listView{Items: views}
	if next != "" {
		list.Next = &next
	}
	return list
}

// Timeline is GET /admin/users/{id}/timeline?cursor=.
func (h Audit) Timeline(c *gin.Context) (any, error) {
	id, err := service.ParseID(c.Param("id"))
	if err != nil {
		return nil, err
	}
	cursor, _, err := queryValue(c, "cursor")
	if err != nil {
		return nil, err
	}
	events, next, err := h.Audit.Timeline(c.Request.Context(), id, cursor)
	return viewEvents(events, next), err
}

// List is GET /admin/audit?cursor=&userId=&kind=&actor=&from=&to=.
func (h Audit) List(c *gin.Context) (any, error) {
	values := map[string]string{}
	for _, name := range []string{"cursor", "userId", "kind", "actor"} {
		value, _, err := queryValue(c, name)
		if err != nil {
			return nil, err
		}
		values[name] = value
	}
	filter := model.EventFilter{Kind: model.Kind(values["kind"]), Actor: values["actor"]}
	if values["userId"] != "" {
		var err error
		if filter.UserID, err = strconv.ParseInt(values["userId"], 10, 64); err != nil || filter.UserID <= 0 {
			return nil, model.Malformed1("userId", model.ReasonFormat)
		}
	}
	var err error
	if filter.From, filter.To, err = stretchOf(c); err != nil {
		return nil, err
	}
	events, next, err := h.Audit.List(c.Request.Context(), filter, values["cursor"])
	return viewEvents(events, next), err
}

// stretchOf is the parameters "from" and "to", RFC 3339; 0 without one.
func stretchOf(c *gin.Context) (from, to model.Time, err error) {
	if from, err = timeOf(c, "from"); err != nil {
		return 0, 0, err
	}
	to, err = timeOf(c, "to")
	return from, to, err
}

func timeOf(c *gin.Context, name string) (model.Time, error) {
	text, _, err := queryValue(c, name)
	if err != nil || text == "" {
		return 0, err
	}
	t, err := time.Parse(time.RFC3339, text)
	if err != nil || t.Unix() <= 0 {
		return 0, model.Malformed1(name, model.ReasonFormat)
	}
	return model.TimeOf(t), nil
}

type statsView struct {
	Items          []statsItemView  `json:"items"`
	Next           *string          `json:"next"`
	ActiveSessions map[string]int64 `json:"activeSessions"` // now, by product type
}

type statsItemView struct {
	From          model.Time           `json:"from"`
	Codes         codesView            `json:"codes"`
	Registrations []breakdownView      `json:"registrations"`
	Logins        []breakdownView      `json:"logins"`
	Displaced     int64                `json:"displaced"`
	Kicked        int64                `json:"kicked"`
	Reuse         int64                `json:"reuse"`
	Events        map[model.Kind]int64 `json:"events"` // lines of the log
}

type codesView struct {
	Sent     int64 `json:"sent"`
	Redeemed int64 `json:"redeemed"`
	Failed   int64 `json:"failed"`
}

type breakdownView struct {
	ProductType int32  `json:"productType"`
	Source      string `json:"source"`
	Count       int64  `json:"count"`
}

func viewStats(s service.Stats) statsItemView {
	return statsItemView{
		From: s.From, Codes: codesView{Sent: s.Events[model.EventCodeSent], Redeemed: s.Redeemed, Failed: s.Events[model.EventCodeFailed]},
		Registrations: viewBreakdown(s.Registers), Logins: viewBreakdown(s.Logins),
		Displaced: s.Events[model.EventDisplaced], Kicked: s.Kicked, Reuse: s.Events[model.EventReuse], Events: s.Events,
	}
}

func viewBreakdown(parts []service.Breakdown) []breakdownView {
	views := make([]breakdownView, 0, len(parts))
	for _, p := range parts {
		views = append(views, breakdownView(p))
	}
	return views
}

// Stats is GET /admin/stats?from=&to=.
func (h Audit) Stats(c *gin.Context) (any, error) {
	from, to, err := stretchOf(c)
	if err != nil {
		return nil, err
	}
	stats, active, err := h.Audit.Stats(c.Request.Context(), from, to)
	if err != nil {
		return nil, err
	}
	view := statsView{Items: make([]statsItemView, 0, len(stats)), ActiveSessions: map[string]int64{}}
	for _, s := range stats {
		view.Items = append(view.Items, viewStats(s))
	}
	for product, count := range active {
		view.ActiveSessions[strconv.Itoa(int(product))] = count
	}
	return view, nil
}
