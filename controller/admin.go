package controller

import (
	"time"

	"github.com/gin-gonic/gin"
	"github.com/go-json-experiment/json/jsontext"

	"menshen/middleware"
	"menshen/model"
	"menshen/service"
)

// Admin serves the operators' requests about users, on the admin listener alone.
type Admin struct{ Admin *service.Admin }

// maxAdminText bounds the other strings of an operator, in characters.
const maxAdminText = 256

// adminUserView is a user as an operator sees it: the number is masked.
type adminUserView struct {
	ID          int64      `json:"id"`
	CompanyType int32      `json:"companyType"`
	Mobile      string     `json:"mobile"`
	UserName    string     `json:"userName"`
	NickName    string     `json:"nickName"`
	RealName    string     `json:"realName"`
	AvatarURL   string     `json:"avatarUrl"`
	ExternalID  *string    `json:"externalId"`
	Source      string     `json:"source"` // the first one
	FirstSource string     `json:"firstSource"`
	LastSource  string     `json:"lastSource"`
	CreatedAt   model.Time `json:"createdAt"`
	DeletedAt   model.Time `json:"deletedAt"`
	Banned      bool       `json:"banned"`
	BannedUntil model.Time `json:"bannedUntil"` // null: not banned, or banned for ever
	BanReason   string     `json:"banReason"`
}

func viewAdminUser(p service.Profile, now time.Time) adminUserView {
	u := p.User
	view := adminUserView{
		ID: u.ID, CompanyType: u.CompanyType, Mobile: p.Mobile, UserName: u.UserName, NickName: u.NickName, RealName: u.RealName,
		AvatarURL: u.AvatarURL, ExternalID: u.ExternalID, Source: u.FirstSource, FirstSource: u.FirstSource, LastSource: u.LastSource, CreatedAt: u.CreatedAt, DeletedAt: u.DeletedAt,
	}
	if u.Banned(model.TimeOf(now)) {
		view.Banned, view.BanReason = true, u.BanReason
		if u.BannedUntil != model.Forever {
			view.BannedUntil = u.BannedUntil
		}
	}
	return view
}

// listView is the form of every list of the admin API.
type listView struct {
	Items any     `json:"items"`
	Next  *string `json:"next"`
}

// Find is GET /admin/users?mobile=&id=.
func (h Admin) Find(c *gin.Context) (any, error) {
	q := query{c: c}
	mobile, id := h.Admin.Numbers.FromQuery(q.text("mobile")), q.id("id")
	if q.err == nil && mobile == "" && id == 0 {
		q.err = model.MalformedField("mobile", model.ReasonRequired)
	}
	if q.err != nil {
		return nil, q.err
	}
	profiles, err := h.Admin.Find(c.Request.Context(), operatorOf(c), mobile, id)
	view := func(p service.Profile) adminUserView { return viewAdminUser(p, h.Admin.Now()) }
	return listView{Items: viewEach(profiles, view)}, err
}

type adminUserDetail struct {
	adminUserView
	Metadata      jsontext.Value `json:"metadata"` // an object
	LastLoginTime model.Time     `json:"lastLoginTime"`
	Sessions      []sessionView  `json:"sessions"`
	Locks         locksView      `json:"locks"`
}

// Show is GET /admin/users/{id}.
func (h Admin) Show(c *gin.Context) (any, error) {
	id, err := service.ParseID(c.Param("id"))
	if err != nil {
		return nil, err
	}
	person, err := h.Admin.Show(c.Request.Context(), operatorOf(c), id)
	if err != nil {
		return nil, err
	}
	return ViewPerson(person, h.Admin.Now()), nil
}

// ViewPerson is the view of a user for an operator. Commands print it too.
func ViewPerson(p service.Person, now time.Time) any {
	return adminUserDetail{
		adminUserView: viewAdminUser(p.Profile, now), Metadata: viewMetadata(p.Profile.User), LastLoginTime: p.LastLogin,
		Sessions: viewer{operator: true}.viewSessions(p.Sessions), Locks: viewLocks(p.Locks),
	}
}

// act is what the requests about one user have in common.
type act struct {
	id       int64
	body     *object
	operator service.Operator
}

func readAct(c *gin.Context, read func(*gin.Context) (*object, error)) (act, error) {
	id, err := service.ParseID(c.Param("id"))
	if err != nil {
		return act{}, err
	}
	body, err := read(c)
	return act{id: id, body: body, operator: operatorOf(c)}, err
}

func operatorOf(c *gin.Context) service.Operator {
	r := middleware.RequestOf(c)
	return service.Operator{Name: r.Actor, Caller: model.Caller{IP: r.IP, RequestID: r.ID}}
}

// reason is required.
func (a act) reason() string {
	reason := a.body.Verbatim("reason", service.MaxReason)
	if problem := service.CheckReason(reason); problem != "" {
		a.body.Reject("reason", problem)
	}
	return reason
}

// Ban is POST /admin/users/{id}/ban.
func (h Admin) Ban(c *gin.Context) (any, error) {
	a, err := readAct(c, readObject)
	if err != nil {
		return nil, err
	}
	reason := a.reason()
	var until model.Time
	if text, given := a.body.OptionalString("until", maxAdminText); given {
		end, err := time.Parse(time.RFC3339, text)
		if err != nil || end.Unix() <= 0 {
			a.body.Reject("until", model.ReasonFormat)
		}
		until = model.TimeOf(end)
	}
	if err := a.body.Err(); err != nil {
		return nil, err
	}
	ended, err := h.Admin.Ban(c.Request.Context(), a.operator, a.id, reason, until)
	return endedView{Ended: ended}, err
}

// Unban is POST /admin/users/{id}/unban.
func (h Admin) Unban(c *gin.Context) (any, error) {
	a, err := readAct(c, readOptionalObject)
	if err != nil {
		return nil, err
	}
	return nil, h.Admin.Unban(c.Request.Context(), a.operator, a.id)
}

// Kick is POST /admin/users/{id}/kick.
func (h Admin) Kick(c *gin.Context) (any, error) {
	a, err := readAct(c, readObject)
	if err != nil {
		return nil, err
	}
	reason := a.reason()
	var target service.KickTarget
	if product, given := a.body.OptionalInt32("productType"); given {
		target.ProductType = &product
	}
	if id, given := a.body.OptionalString("sessionId", maxAdminText); given {
		target.SessionID = id
		if id == "" {
			a.body.Reject("sessionId", model.ReasonLength)
		}
	}
	if err := a.body.Err(); err != nil {
		return nil, err
	}
	ended, err := h.Admin.Kick(c.Request.Context(), a.operator, a.id, target, reason)
	return endedView{Ended: ended}, err
}
