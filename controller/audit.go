package controller

import (
	"context"
	"encoding/json"
	"errors"
	"math"
	"strconv"
	"time"

	"github.com/gin-gonic/gin"

	"menshen/model"
	"menshen/service"
)

// Audit shows the event log and its figures to operators.
type Audit struct {
	Audit *service.Audit
	Now   func() time.Time // for the deadlines of connections
}

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

// ViewEvent is the view of an event for an operator. Commands print it too.
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
	list := listView{Items: viewEach(events, ViewEvent)}
	if next != "" {
		list.Next = &next
	}
	return list
}

// RecordDenied records a request of an operator whose key's role does not allow it.
func (h Audit) RecordDenied(ctx context.Context, r model.Request, route string, needs model.Role) error {
	return h.Audit.RecordDenied(ctx, operator(r), route, needs)
}

// Timeline is GET /admin/users/{id}/timeline?cursor=.
func (h Audit) Timeline(c *gin.Context) (any, error) {
	id, err := service.ParseID(c.Param("id"))
	if err != nil {
		return nil, err
	}
	q := query{c: c}
	cursor := q.text("cursor")
	if q.err != nil {
		return nil, q.err
	}
	events, next, err := h.Audit.Timeline(c.Request.Context(), operatorOf(c), id, cursor)
	return viewEvents(events, next), err
}

// List is GET /admin/audit?cursor=&userId=&kind=&actor=&from=&to=. With after= it follows
// the log, and wait= holds the response.
func (h Audit) List(c *gin.Context) (any, error) {
	q := query{c: c}
	cursor := q.text("cursor")
	filter := model.EventFilter{
		Kind: model.Kind(q.text("kind")), Actor: q.text("actor"), UserID: q.id("userId"), From: q.time("from"), To: q.time("to"),
	}
	after, follows, err := queryValue(c, "after")
	if q.err = errors.Join(q.err, err); q.err == nil && follows && cursor != "" {
		q.err = model.MalformedField("cursor", model.ReasonConflict)
	}
	if q.err != nil {
		return nil, q.err
	}
	if follows {
		wait, err := queryWait(c, h.Now)
		if err != nil {
			return nil, err
		}
		events, next, err := h.Audit.Follow(c.Request.Context(), operatorOf(c), filter, after, wait)
		return viewEvents(events, next), err
	}
	ctx, cancel := context.WithTimeout(c.Request.Context(), model.ReportTime)
	defer cancel()
	events, next, err := h.Audit.List(ctx, operatorOf(c), filter, cursor)
	return viewEvents(events, next), err
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
	Returned      []breakdownView      `json:"returned"` // registrations whose account was used a day later
	Vendors       []vendorCountView    `json:"vendors"`
	Events        map[model.Kind]int64 `json:"events"` // number of events by kind
}

type codesView struct {
	Sent     int64 `json:"sent"`
	Redeemed int64 `json:"redeemed"`
	Failed   int64 `json:"failed"`
	// Cost is that of messages sent, by sms.prices; CostPerRedeemed is null without a code that was redeemed.
	Cost            float64  `json:"cost"`
	CostPerRedeemed *float64 `json:"costPerRedeemed"`
}

// vendorCountView counts the messages of one vendor to one region.
type vendorCountView struct {
	Provider  string  `json:"provider"`
	Region    string  `json:"region"`
	Sent      int64   `json:"sent"`
	Delivered int64   `json:"delivered"`
	Failed    int64   `json:"failed"`
	Redeemed  int64   `json:"redeemed"`
	Cost      float64 `json:"cost"`
}

type breakdownView struct {
	ProductType int32  `json:"productType"`
	Source      string `json:"source"`
	Count       int64  `json:"count"`
}

func viewStats(s service.Stats) statsItemView {
	codes := codesView{
		Sent: s.Events[model.EventCodeSent], Redeemed: s.Redeemed, Failed: s.Events[model.EventCodeFailed], Cost: float64(s.Cost) / 1e6,
	}
	if s.Redeemed > 0 {
		each := math.Round(float64(s.Cost)/float64(s.Redeemed)) / 1e6
		codes.CostPerRedeemed = &each
	}
	return statsItemView{
		From: s.From, Codes: codes,
		Registrations: viewEach(s.Registers, viewBreakdown), Logins: viewEach(s.Logins, viewBreakdown),
		Displaced: s.Events[model.EventDisplaced], Kicked: s.Kicked, Reuse: s.Events[model.EventReuse], Events: s.Events,
		Returned: viewEach(s.Returned, viewBreakdown), Vendors: viewEach(s.Vendors, viewVendorCount),
	}
}

func viewBreakdown(b service.Breakdown) breakdownView { return breakdownView(b) }

func viewVendorCount(v model.VendorCount) vendorCountView {
	return vendorCountView{
		Provider: v.Provider, Region: v.Region, Sent: v.Sent, Delivered: v.Delivered, Failed: v.Failed, Redeemed: v.Redeemed, Cost: float64(v.Cost) / 1e6,
	}
}

// Stats is GET /admin/stats?from=&to=&step=.
func (h Audit) Stats(c *gin.Context) (any, error) {
	q := query{c: c}
	asked := service.StatsQuery{From: q.time("from"), To: q.time("to"), Step: q.text("step")}
	if q.err != nil {
		return nil, q.err
	}
	stats, active, err := h.Audit.Stats(c.Request.Context(), operatorOf(c), asked)
	if err != nil {
		return nil, err
	}
	view := statsView{Items: viewEach(stats, viewStats), ActiveSessions: map[string]int64{}}
	for product, count := range active {
		view.ActiveSessions[strconv.Itoa(int(product))] = count
	}
	return view, nil
}
