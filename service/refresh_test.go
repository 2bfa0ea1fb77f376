package service_test

import (
	"menshen/model"
	"menshen/service"
)

// use shows the access token somewhere: from then on it is confirmed.
func (w *world) use(c client) {
	w.t.Helper()
	if _, err := w.sessions.Authenticate(w.t.Context(), c.access); err != nil {
		w.t.Fatalf("use a token: %v", err)
	}
}

// mustRefresh refreshes the pair and gives the new access token.
func (w *world) mustRefresh(c client) service.IssuedToken {
	w.t.Helper()
	token, err := w.refresh(c.access, c.Refresh.Value)
	if err != nil {
		w.t.Fatalf("refresh: %v", err)
	}
	return token
}

// renewed is the client after a refresh.
func (w *world) renewed(c client) client {
	w.t.Helper()
	c.access = w.mustRefresh(c).Value
	c.claims = w.claims(c.access)
	return c
}

func (w *world) logOut(c client, scope service.Scope) (int, error) {
	return w.sessions.Logout(w.t.Context(), c.access, c.claims, scope, service.Caller{})
}

var _ = model.Secret("")
