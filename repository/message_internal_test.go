package repository

import "menshen/model"

// MessageQuery is the query of [Messages.List], for tests of its plan.
func MessageQuery(filter model.MessageFilter, limit int) (query string, args []any) {
	rest, args := selecting(filter, limit)
	return "SELECT " + shownMessageTable.columns + " FROM " + messageJoins + " " + rest, args
}

// ReturnedQuery is the query of [Events.Returned], for tests of its plan.
func ReturnedQuery(span model.EventSpan) (query string, args []any) { return returnedQuery(span) }
