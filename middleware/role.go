package middleware

import (
	"context"
	"net/http"

	"github.com/gin-gonic/gin"

	"menshen/model"
)

// Roles says which role each route of the admin API needs, before anything is looked up.
type Roles struct {
	// Needs is by method and route, such as "POST /admin/users/:id/ban". Any other route
	// needs model.RoleRead if it answers GET, and model.RoleAdmin if not.
	Needs map[string]model.Role
	// Record writes the event of a refusal.
	Record func(ctx context.Context, request model.Request, route string, needs model.Role) error
}

// Guard refuses requests that the role of their key may not make, with model.ErrRole.
// AdminKeys.Guard must come before it.
func (r Roles) Guard(c *gin.Context) {
	request := RequestOf(c)
	method := c.Request.Method
	if method == http.MethodHead {
		method = http.MethodGet
	}
	route := method + " " + c.FullPath()
	needs, given := r.Needs[route]
	if !given && method == http.MethodGet {
		needs = model.RoleRead
	} else if !given {
		needs = model.RoleAdmin
	}
	if request.Key.Role.Includes(needs) {
		return
	}
	ctx, cancel := context.WithTimeout(model.WithAddress(c.Request.Context(), request.IP), model.StorageTime)
	defer cancel()
	if err := r.Record(ctx, *request, route, needs); err != nil {
		Fail(c, err)
		return
	}
	Fail(c, model.ErrRole.With(model.NeededRole{Role: request.Key.Role, Needs: needs}))
}
