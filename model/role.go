package model

import "slices"

// Role is what an operator's key may do.
type Role string

// The roles. Each may do what those before it may.
const (
	RoleRead    Role = "read"    // look
	RoleSupport Role = "support" // also end sessions, ban, and lift bans and limits
	RoleAdmin   Role = "admin"   // everything
)

// Roles lists the roles, the one that may do least first.
func Roles() []Role { return []Role{RoleRead, RoleSupport, RoleAdmin} }

// Includes reports whether the role may do what another role is needed for.
func (r Role) Includes(needed Role) bool {
	least := slices.Index(Roles(), needed)
	return least >= 0 && slices.Index(Roles(), r) >= least
}

// AdminKey is an operator's key, without the key itself.
type AdminKey struct {
	Name      string // the actor of events
	Role      Role
	Companies Companies // whose users it is for
}

// Companies are types of companies. Without any they are all companies.
type Companies []int32

// Include reports whether the company is one of them.
func (c Companies) Include(company int32) bool { return len(c) == 0 || slices.Contains(c, company) }

// NeededRole is the data of ErrRole.
type NeededRole struct {
	Role  Role `json:"role"`  // of the key
	Needs Role `json:"needs"` // the least one that may do it
}
