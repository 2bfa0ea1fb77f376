package controller

import (
	"encoding/json"
	"time"

	"github.com/gin-gonic/gin"

	"menshen/middleware"
	"menshen/model"
	"menshen/service"
)

// Admin serves the operators' requests about users, on the admin listener alone.
type Admin struct{ Admin *service.Admin }

// Bounds of an operator's strings, in characters.
const (
	maxExternalID = 64
	maxAdminText  = 256 // others
)

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

// List is GET /admin/users?mobile=&id=&externalId=&companyType=&source=&banned=&from=&to=&cursor=&limit=.
func (h Admin) List(c *gin.Context) (any, error) {
	q := query{c: c}
	asked := service.UserQuery{
		ID: q.id("id"), Mobile: h.Admin.Numbers.FromQuery(q.text("mobile")), ExternalID: q.bounded("externalId", maxExternalID),
		CompanyType: q.int32("companyType"), Source: q.bounded("source", maxSource), Banned: q.bool("banned"),
		From: q.time("from"), To: q.time("to"), Cursor: q.text("cursor"), Limit: q.limit(service.UserPage, service.MaxUserPage),
	}
	if q.err == nil && asked.To != 0 && asked.From > asked.To {
		q.err = model.MalformedField("from", model.ReasonRange)
	}
	if q.err != nil {
		return nil, q.err
	}
	users, next, err := h.Admin.List(c.Request.Context(), operatorOf(c), asked)
	list := listView{Items: viewEach(users, func(p service.Profile) any { return ViewListedUser(p, h.Admin.Now()) })}
	if next != "" {
		list.Next = &next
	}
	return list, err
}

// ViewListedUser is the view of a user in a list. Commands print it too.
func ViewListedUser(p service.Profile, now time.Time) any { return viewAdminUser(p, now) }

// adminUserDetail is what only the view of a single user has.
type adminUserDetail struct {
	adminUserView
	Metadata      json.RawMessage `json:"metadata"`
	LastLoginTime model.Time      `json:"lastLoginTime"`
	Locks         locksView       `json:"locks"`
}

func viewAdminDetail(p service.Person, now time.Time) adminUserDetail {
	view := adminUserDetail{adminUserView: viewAdminUser(p.Profile, now), Metadata: json.RawMessage("{}"), LastLoginTime: p.LastLogin, Locks: viewLocks(p.Locks)}
	if metadata := p.Profile.User.Metadata; len(metadata) > 0 {
		view.Metadata = metadata
	}
	return view
}

type personView struct {
	adminUserDetail
	Sessions []sessionView `json:"sessions"`
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
	return personView{viewAdminDetail(p, now), viewer{operator: true}.viewSessions(p.Sessions)}
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

func operatorOf(c *gin.Context) service.Operator { return operator(*middleware.RequestOf(c)) }

func operator(r model.Request) service.Operator {
	return service.Operator{Name: r.Key.Name, Role: r.Key.Role, Companies: r.Key.Companies, Caller: model.Caller{IP: r.IP, RequestID: r.ID}}
}

// reason is required.
func (a act) reason() string {
	reason := a.body.Verbatim("reason", service.MaxReason)
	if problem := service.CheckReason(reason); problem != "" {
		a.body.Reject("reason", problem)
	}
	return reason
}

// Delete is DELETE /admin/users/{id}.
func (h Admin) Delete(c *gin.Context) (any, error) {
	a, err := readAct(c, readObject)
	if err != nil {
		return nil, err
	}
	reason := a.reason()
	if err := a.body.Err(); err != nil {
		return nil, err
	}
	ended, err := h.Admin.Delete(c.Request.Context(), a.operator, a.id, reason)
	return endedView{Ended: ended}, err
}

// SendCode is POST /admin/users/{id}/code.
func (h Admin) SendCode(c *gin.Context) (any, error) {
	a, err := readAct(c, readObject)
	if err != nil {
		return nil, err
	}
	mobile := a.body.Verbatim("mobile", maxText)
	if err := a.body.Err(); err != nil {
		return nil, err
	}
	sent, err := h.Admin.SendCode(c.Request.Context(), a.operator, a.id, mobile, middleware.RequestOf(c).Language)
	return viewSent(c, sent), err
}

// Renumber is POST /admin/users/{id}/mobile.
func (h Admin) Renumber(c *gin.Context) (any, error) {
	a, err := readAct(c, readObject)
	if err != nil {
		return nil, err
	}
	change := service.LostNumber{
		Mobile: a.body.Verbatim("mobile", maxText), Code: model.Secret(a.body.Verbatim("validateNo", maxText)),
		Ticket: ticketOf(c), Reason: a.reason(),
	}
	if err := a.body.Err(); err != nil {
		return nil, err
	}
	ended, err := h.Admin.Renumber(c.Request.Context(), a.operator, a.id, change)
	return endedView{Ended: ended}, err
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
	reason, given := a.body.OptionalString("reason", service.MaxReason)
	if problem := service.CheckReason(reason); given && problem != "" {
		a.body.Reject("reason", problem)
	}
	if err := a.body.Err(); err != nil {
		return nil, err
	}
	return nil, h.Admin.Unban(c.Request.Context(), a.operator, a.id, reason)
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
