package controller

import (
	"strconv"
	"time"

	"github.com/gin-gonic/gin"

	"menshen/model"
	"menshen/service"
)

// Admin serves those who run the deployment, on the admin listener alone.
type Admin struct{ Operators *service.Operators }

// MaxReason is the bound of an operator's reason, in characters.
const MaxReason = 256

// adminUserView shows a user to an operator: the number is masked.
type adminUserView struct {
	ID          int64      `json:"id"`
	CompanyType int32      `json:"companyType"`
	Mobile      string     `json:"mobile"`
	UserName    string     `json:"userName"`
	NickName    string     `json:"nickName"`
	RealName    string     `json:"realName"`
	FirstSource string     `json:"firstSource"`
	LastSource  string     `json:"lastSource"`
	CreatedAt   model.Time `json:"createdAt"`
	DeletedAt   model.Time `json:"deletedAt"`
	Banned      bool       `json:"banned"`
	BannedUntil model.Time `json:"bannedUntil"` // null: not banned, or for ever
	BanReason   string     `json:"banReason"`
}

func viewAdminUser(p service.Profile, now time.Time) adminUserView {
	u := p.User
	view := adminUserView{
		ID: u.ID, CompanyType: u.CompanyType, Mobile: p.Mobile, UserName: u.UserName, NickName: u.NickName, RealName: u.RealName,
		FirstSource: u.FirstSource, LastSource: u.LastSource, CreatedAt: u.CreatedAt, DeletedAt: u.DeletedAt,
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
	mobile, givenMobile, err := queryValue(c, "mobile")
	if err != nil {
		return nil, err
	}
	text, givenID, err := queryValue(c, "id")
	if err != nil {
		return nil, err
	}
	var id int64
	if givenID && text != "" {
		if id, err = strconv.ParseInt(text, 10, 64); err != nil || id <= 0 {
			return nil, model.Malformed1("id", model.ReasonFormat)
		}
	}
	if (!givenMobile || mobile == "") && id == 0 {
		return nil, model.Malformed1("mobile", model.ReasonRequired)
	}
	profiles, err := h.Operators.Find(c.Request.Context(), mobile, id)
	views := make([]adminUserView, 0, len(profiles))
	for _, p := range profiles {
		views = append(views, viewAdminUser(p, h.Operators.Now()))
	}
	return listView{Items: views}, err
}

type adminUserDetail struct {
	adminUserView
	Sessions []sessionView `json:"sessions"`
}

// Show is GET /admin/users/{id}.
func (h Admin) Show(c *gin.Context) (any, error) {
	id, err := service.ParseID(c.Param("id"))
	if err != nil {
		return nil, err
	}
	profile, sessions, err := h.Operators.Show(c.Request.Context(), id)
	if err != nil {
		return nil, err
	}
	return ViewUserDetail(profile, sessions, h.Operators.Now()), nil
}

// ViewUserDetail is what an operator is shown of a user, by commands too.
func ViewUserDetail(profile service.Profile, sessions []model.Session, now time.Time) any {
	views := make([]sessionView, 0, len(sessions))
	for _, s := range sessions {
		views = append(views, viewSession(s, ""))
	}
	return adminUserDetail{adminUserView: viewAdminUser(profile, now), Sessions: views}
}

// act is what the bodies of ban and kick have in common.
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
	r := requestOf(c)
	return act{id: id, body: body, operator: service.Operator{
		Name: r.Actor, Caller: service.Caller{IP: r.IP, RequestID: r.ID},
	}}, err
}

// reason is required and not empty: the audit is to say why.
func (a act) reason() string {
	reason := a.body.String("reason", MaxReason)
	if reason == "" {
		a.body.Reject("reason", model.ReasonRequired)
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
	if text, given := a.body.OptionalString("until", MaxReason); given {
		end, err := time.Parse(time.RFC3339, text)
		if err != nil || end.Unix() <= 0 {
			a.body.Reject("until", model.ReasonFormat)
		}
		until = model.TimeOf(end)
	}
	if err := a.body.Err(); err != nil {
		return nil, err
	}
	ended, err := h.Operators.Ban(c.Request.Context(), a.operator, a.id, reason, until)
	return endedView{Ended: ended}, err
}

// Unban is POST /admin/users/{id}/unban.
func (h Admin) Unban(c *gin.Context) (any, error) {
	a, err := readAct(c, readOptionalObject)
	if err != nil {
		return nil, err
	}
	return nil, h.Operators.Unban(c.Request.Context(), a.operator, a.id)
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
	if id, given := a.body.OptionalString("sessionId", MaxReason); given {
		target.SessionID = id
		if id == "" {
			a.body.Reject("sessionId", model.ReasonLength)
		}
	}
	if err := a.body.Err(); err != nil {
		return nil, err
	}
	ended, err := h.Operators.Kick(c.Request.Context(), a.operator, a.id, target, reason)
	return endedView{Ended: ended}, err
}
