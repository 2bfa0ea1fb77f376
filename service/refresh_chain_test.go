package service_test

import (
	"slices"
	"time"

	"menshen/model"
)

// The model of refresh, written as a story of holders and tokens rather than of
// generations, and compared with the service and its row after every command.

// minted is an access token that the service gave away.
type minted struct {
	claims model.Claims
	raw    model.Secret
}

// chain is what the model knows of a session.
type chain struct {
	mobile  string
	device  string
	refresh model.Secret
	tokens  []*minted // in the order of their making; the last is the current one
	parent  *minted   // its holder was given the current one; nil for the first
	at      model.Time
	seen    bool // the current one was shown somewhere
	idle    model.Time
	end     model.Time
	reason  model.Reason // "": it lives
	events  []string
	stale   map[model.Time]int64 // presentations of stale pairs by the hour: events are folded by it

	holds  *minted // of the honest client
	stolen *minted // of the thief; nil while there is none
	hurt   bool    // a holder other than the honest client acted
}

func (c *chain) current() *minted { return c.tokens[len(c.tokens)-1] }

// role says what a token is to its chain.
func (c *chain) role(token *minted) string {
	place, parent := slices.Index(c.tokens, token), slices.Index(c.tokens, c.parent)
	switch {
	case token == c.current():
		return "current"
	case token == c.parent:
		return "parent"
	case place > parent:
		return "orphan" // made for the holder of the parent, who never had it
	default:
		return "ancestor"
	}
}

// The answers to a refresh.
const (
	renewed = "renewed" // a token that was not there before
	same    = "same"    // the current one once more
	stale   = "stale"
	reuse   = "reuse"
	over    = "over" // ended before
)

// present is the answer to a token, and makes the chain what it then is, but
// for the new token itself.
func (c *chain) present(token *minted, now model.Time, grace time.Duration) string {
	if c.look(now); c.reason != "" {
		return over
	}
	fresh := now <= c.at.Add(grace)
	switch role := c.role(token); {
	case role == "current":
		c.parent = token
		return renewed
	case role == "ancestor" && fresh:
		return stale
	case role != "ancestor" && fresh && now < c.current().claims.ExpiresAt:
		return same
	case role != "ancestor" && fresh, role == "parent" && !c.seen:
		c.events = append(c.events, string(model.EventRecover))
		return renewed // for the holder of the parent again
	}
	c.close(model.ReasonReuse, model.EventReuse)
	return reuse
}

// recordStale records that a stale pair was presented n times.
func (c *chain) recordStale(n int, now model.Time) {
	hour := now / model.Time(time.Hour.Milliseconds())
	if c.stale[hour] == 0 {
		c.events = append(c.events, string(model.EventRecover))
	}
	if c.stale == nil {
		c.stale = map[model.Time]int64{}
	}
	c.stale[hour] += int64(n)
}

// look notices that time has ended the session.
func (c *chain) look(now model.Time) {
	if c.reason == "" && (now >= c.idle || now >= c.end) {
		c.close(model.ReasonExpired, model.EventExpired)
	}
}

func (c *chain) close(reason model.Reason, event model.Kind) {
	c.reason = reason
	c.events = append(c.events, string(event))
}
