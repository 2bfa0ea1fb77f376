package conformance_test

import (
	"bufio"
	"encoding/json"
	"net/http"
	"os"
	"strings"
	"sync"
)

// bug is a mistake of the client, planted by the variable bugVariable.
type bug string

const (
	bugVariable = "MENSHEN_CONFORMANCE_BUG"
	none        = bug("none")
)

// The mistakes that clients make.
const (
	discardsAtTrouble   = bug("discards the pair at 503")
	logsOutAtLostAnswer = bug("logs out at a lost answer")
	keepsAfterUse       = bug("uses a token before it is kept")
	refreshesAtEvery401 = bug("refreshes at every 401")
	ignoresStalePair    = bug("takes 40105 for the end")
	retriesStolenPair   = bug("keeps and tries the pair of an ended session")
	loopsTightly        = bug("connects again in a tight loop")
	ignoresRetryAfter   = bug("ignores Retry-After")
	credentialOfAnother = bug("sends the credential of another number")
	trustsOwnClock      = bug("trusts its own clock")
	followsRedirects    = bug("follows redirects with the pair")
	pairInMemory        = bug("never reads the storage again")
	overwritesNewer     = bug("lets a late answer overwrite a newer token")
	forgetsTicket       = bug("forgets the ticket")
	pageIsSuccess       = bug("takes a page for a success")
	statusIsVerdict     = bug("takes the 401 of a proxy for the end")
	sharesNoRefresh     = bug("refreshes once for each request")
	endsAtAnyEvent      = bug("takes every event for the end")
	newDeviceNumber     = bug("makes a device number for each login")
	logsInAgain         = bug("logs in again by itself")
	claimsLogout        = bug("reports a logout that has not happened")
	hasNoWatch          = bug("has no watch")
	writesNonsense      = bug("writes what is no answer")
	leavesEarly         = bug("ends after the first command")
)

// order is one line of the standard input, as docs/conformance.md has it.
type order struct {
	ID                                                       int
	Do, Client, Storage, Base, Mobile, Challenge, ValidateNo string
}

// runClient is the process of the client under test.
func runClient(b bug) {
	var output sync.Mutex
	write := func(line map[string]any) {
		output.Lock()
		defer output.Unlock()
		_ = json.NewEncoder(os.Stdout).Encode(line)
	}
	clients := map[string]*client{}
	for lines := bufio.NewScanner(os.Stdin); lines.Scan(); {
		var o order
		if err := json.Unmarshal(lines.Bytes(), &o); err != nil {
			panic(err)
		}
		if b == writesNonsense {
			_, _ = os.Stdout.WriteString("Hello\n")
		}
		c := clients[o.Client]
		switch {
		case o.Do == "open":
			c = newClient(b, o.Base, o.Storage)
			c.onEnded = func(reason string) { write(map[string]any{"event": "ended", "client": o.Client, "reason": reason}) }
			clients[o.Client] = c
		case o.Do == "close":
			c.kill()
		case o.Do == "watch" && b == hasNoWatch:
			write(map[string]any{"id": o.ID, "unsupported": true})
			continue
		}
		go func() {
			got := c.obey(o)
			c.mu.Lock()
			defer c.mu.Unlock()
			if o.Do != "close" && c.ctx.Err() != nil {
				return
			}
			write(map[string]any{"id": o.ID, "ok": got.code == 0, "code": max(got.code, 0), "loggedIn": c.read().Access != "", "reason": c.reason})
		}()
		if b == leavesEarly {
			return
		}
	}
}

func (c *client) obey(o order) outcome {
	switch o.Do {
	case "code":
		return c.sendCode(o.Mobile, o.Challenge)
	case "login":
		return c.login(o.Mobile, o.ValidateNo)
	case "call":
		return c.authorized(http.MethodGet, "/app/auth/user")
	case "logout":
		return c.logout()
	case "watch":
		go c.watch()
	}
	return outcome{}
}

// watch reports the end of the session by push.
func (c *client) watch() {
	for try := 1; c.ctx.Err() == nil; try++ {
		k := c.read()
		if k.Access == "" {
			return
		}
		if c.follow(k.Access) {
			c.authorized(http.MethodGet, "/app/auth/user") // is refused with the reason
			continue
		}
		if c.bug != loopsTightly {
			c.authorized(http.MethodGet, "/wx/pc/check-login-status")
			c.pause(outcome{}, 2)
		}
	}
}

// follow reads one stream and reports whether it told of an end.
func (c *client) follow(access string) (ended bool) {
	request, err := http.NewRequestWithContext(c.ctx, http.MethodGet, c.base+"/app/auth/events", nil)
	if err != nil {
		return false
	}
	request.Header = bearer(access)
	response, err := http.DefaultClient.Do(request)
	if err != nil {
		return false
	}
	defer response.Body.Close()
	if !strings.HasPrefix(response.Header.Get("Content-Type"), "text/event-stream") {
		return false
	}
	for lines := bufio.NewScanner(response.Body); lines.Scan(); {
		name, found := strings.CutPrefix(lines.Text(), "event: ")
		if found && c.bug == endsAtAnyEvent {
			c.end(outcome{data: map[string]any{"reason": name}}, access)
			return false
		}
		if name == "session.ended" {
			return true
		}
	}
	return false
}
