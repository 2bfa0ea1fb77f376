package controller

import (
	"github.com/gin-gonic/gin"

	"menshen/model"
	"menshen/service/code"
)

// locksView is what the limits of a number hold.
type locksView struct {
	Failures      int        `json:"failures"`
	FailuresUntil model.Time `json:"failuresUntil"`
	CodesToday    int        `json:"codesToday"`
	NextCodeAt    model.Time `json:"nextCodeAt"`
}

func viewLocks(l code.Locks) locksView { return locksView(l) }

type numberView struct {
	Mobile string    `json:"mobile"` // masked
	Locks  locksView `json:"locks"`
}

type clearedView struct {
	Cleared int `json:"cleared"`
}

// Number is GET /admin/numbers?mobile=.
func (h Admin) Number(c *gin.Context) (any, error) {
	q := query{c: c}
	mobile := h.Admin.Numbers.FromQuery(q.text("mobile"))
	if q.err == nil && mobile == "" {
		q.err = model.MalformedField("mobile", model.ReasonRequired)
	}
	if q.err != nil {
		return nil, q.err
	}
	number, locks, err := h.Admin.Number(c.Request.Context(), operatorOf(c), mobile)
	return ViewNumber(number, locks), err
}

// ViewNumber is the view of a number for an operator. Commands print it too.
func ViewNumber(number model.Mobile, locks code.Locks) any {
	return numberView{number.String(), viewLocks(locks)}
}

// Unlock is POST /admin/users/{id}/unlock.
func (h Admin) Unlock(c *gin.Context) (any, error) {
	a, err := readAct(c, readObject)
	if err != nil {
		return nil, err
	}
	reason := a.reason()
	if err := a.body.Err(); err != nil {
		return nil, err
	}
	cleared, err := h.Admin.Unlock(c.Request.Context(), a.operator, a.id, reason)
	return clearedView{cleared}, err
}

// UnlockNumber is POST /admin/numbers/unlock.
func (h Admin) UnlockNumber(c *gin.Context) (any, error) {
	body, err := readObject(c)
	if err != nil {
		return nil, err
	}
	a := act{body: body, operator: operatorOf(c)}
	mobile, reason := body.Verbatim("mobile", maxText), a.reason()
	if err := body.Err(); err != nil {
		return nil, err
	}
	cleared, err := h.Admin.UnlockNumber(c.Request.Context(), a.operator, mobile, reason)
	return clearedView{cleared}, err
}
