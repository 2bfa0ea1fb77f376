package repository

import (
	"context"
	"slices"
	"strconv"
	"strings"

	"menshen/model"
)

// List lists the accounts that the filter selects and that are not deleted, newest first,
// at most limit.
func (u Users) List(ctx context.Context, f model.UserFilter, limit int) ([]model.User, error) {
	var all []model.User
	for i := range max(1, len(f.Companies)) { // no index has the order over several companies
		of := f
		if len(f.Companies) > 0 {
			of.Companies = f.Companies[i : i+1]
		}
		users, err := u.listOne(ctx, of, limit)
		if err != nil {
			return nil, unavailable("list users", err)
		}
		all = append(all, users...)
	}
	slices.SortFunc(all, model.CompareUsers)
	return all[:min(limit, len(all))], nil
}

// listOne is List for one company or all. It reads two stretches of an index: the rest of
// the accounts that are as old as f.After, then older ones.
func (u Users) listOne(ctx context.Context, f model.UserFilter, limit int) (users []model.User, _ error) {
	for _, where := range u.stretches(f) {
		part, err := u.listBy(ctx, where, limit-len(users))
		if err != nil {
			return nil, err
		}
		if users = append(users, part...); len(users) == limit {
			break
		}
	}
	return users, nil
}

// stretches are the conditions of the two stretches, or of one for the first page.
func (u Users) stretches(f model.UserFilter) (all [][]condition) {
	if f.After.ID != 0 {
		all = append(all, append(u.conditions(f), condition{"created_at = ?", f.After.CreatedAt}, condition{"id < ?", f.After.ID}))
		if f.To == 0 || f.After.CreatedAt < f.To {
			f.To = f.After.CreatedAt
		}
	}
	return append(all, u.conditions(f))
}

// condition is a part of a WHERE clause with its argument.
type condition struct {
	text string
	arg  any
}

// Conditions that decide which index is read.
const (
	ofCompany  = "company_type = ?"
	ofSource   = "first_source = ?"
	everBanned = "ever_banned = ?"
)

func (u Users) conditions(f model.UserFilter) []condition {
	all := []condition{{"deleted_at = ?", 0}}
	if len(f.Companies) > 0 {
		all = append(all, condition{ofCompany, f.Companies[0]})
	}
	if f.Source != "" {
		all = append(all, condition{ofSource, f.Source})
	}
	switch {
	case f.Banned != nil && *f.Banned:
		all = append(all, condition{everBanned, 1}, condition{"banned_until > ?", f.Now})
	case f.Banned != nil:
		all = append(all, condition{"banned_until <= ?", f.Now})
	}
	if f.From != 0 {
		all = append(all, condition{"created_at >= ?", f.From})
	}
	if f.To != 0 {
		all = append(all, condition{"created_at < ?", f.To})
	}
	return all
}

// byIndex makes a statement read a table by an index; it follows the table's name.
func (db *DB) byIndex(name string) string { return strings.Replace(db.dialect.useIndex, "?", name, 1) }

// listBy names the index, so that each page costs the same whatever the statistics of a
// large table say. Few accounts have ever been banned; their index has the columns of
// all other filters, and the rows of those alone are read that fit.
func (u Users) listBy(ctx context.Context, where []condition, limit int) ([]model.User, error) {
	rest, args := u.listStatement(where, limit)
	return userTable.list(ctx, u.DB, rest, args...)
}

// listStatement returns what follows the name of the table, with its arguments.
func (u Users) listStatement(where []condition, limit int) (rest string, args []any) {
	has := func(text string) bool {
		return slices.ContainsFunc(where, func(c condition) bool { return c.text == text })
	}
	index := "users_created"
	switch {
	case has(everBanned):
		index = "users_banned"
	case has(ofCompany) && has(ofSource):
		index = "users_company_source"
	case has(ofSource):
		index = "users_source"
	case has(ofCompany):
		index = "users_company"
	}
	texts := make([]string, len(where))
	for i, c := range where {
		texts[i], args = c.text, append(args, c.arg)
	}
	return u.DB.byIndex(index) + " WHERE " + strings.Join(texts, " AND ") + " ORDER BY created_at DESC, id DESC LIMIT " + strconv.Itoa(limit), args
}
