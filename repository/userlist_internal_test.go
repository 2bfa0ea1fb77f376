package repository

import (
	"menshen/model"
)

// ListStatement is a statement of a page of users.
type ListStatement struct {
	SQL  string
	Args []any
}

// Statements returns the statements that List sends for a page of one company or all.
func (u Users) Statements(f model.UserFilter) (all []ListStatement) {
	for _, where := range u.stretches(f) {
		rest, args := u.listStatement(where, 10)
		all = append(all, ListStatement{"SELECT " + userTable.columns + " FROM " + userTable.name + " " + rest, args})
	}
	return all
}
