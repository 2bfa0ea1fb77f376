package model

import "cmp"

// UserFilter selects accounts. A field that is zero selects all.
type UserFilter struct {
	Companies Companies
	Source    string // the first one
	Banned    *bool  // at Now
	Now       Time
	From      Time // of the creation, inclusive
	To        Time // of the creation, exclusive
	After     User // the last account of the page before: accounts that are older
}

// Matches reports whether the account is one of those that the filter selects, deleted or
// not.
func (f UserFilter) Matches(u User) bool {
	return f.Companies.Include(u.CompanyType) && (f.Source == "" || f.Source == u.FirstSource) &&
		(f.Banned == nil || *f.Banned == u.Banned(f.Now)) &&
		f.From <= u.CreatedAt && (f.To == 0 || u.CreatedAt < f.To) &&
		(f.After.ID == 0 || CompareUsers(f.After, u) < 0)
}

// CompareUsers orders accounts: the newest first, of equally old ones that with the
// greater id.
func CompareUsers(a, b User) int {
	return cmp.Or(cmp.Compare(b.CreatedAt, a.CreatedAt), cmp.Compare(b.ID, a.ID))
}
