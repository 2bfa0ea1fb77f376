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

func viewEvents(events []model.Event, next string) listView {
	views := make([]eventView, 0, len(events))
	for _, e := range events {
		view := eventView{
			ID: e.ID, At: e.At, Kind: e.Kind, SessionID: e.SessionID, Actor: e.Actor, IP: e.IP, Device: e.Device,
			RequestID: e.RequestID, Detail: json.RawMessage("null"),
		}
		view.Text.Zh, view.Text.En = e.Kind.Sentence()
		if e.UserID != 0 {
			view.UserID = &e.UserID
		}
		if e.Detail != "" {
			view.Detail = json.RawMessage(e.Detail)
		}
		views = append(views, view)
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
	ActiveSessions map[string]int64 `json:"activeSessions"` // by product type
}

type statsItemView struct {
	From          model.Time           `json:"from"`
	Events        map[model.Kind]int64 `json:"events"`
	Logins        []service.Breakdown  `json:"logins"`
	Registrations []service.Breakdown  `json:"registrations"`
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
		item := statsItemView{From: s.From, Events: s.Events, Logins: s.Logins, Registrations: s.Registers}
		if item.Logins == nil {
			item.Logins = []service.Breakdown{}
		}
		if item.Registrations == nil {
			item.Registrations = []service.Breakdown{}
		}
		view.Items = append(view.Items, item)
	}
	for product, count := range active {
		view.ActiveSessions[strconv.Itoa(int(product))] = count
	}
	return view, nil
}
