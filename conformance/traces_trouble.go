package conformance

import (
	"net/http"
	"time"

	"menshen/model"
)

// troubleTraces are about answers that are no verdict. None of them is a reason to log out.
var troubleTraces = []Trace{
	{
		Name:   "storm",
		Story:  "A storm of 503: four refreshes in a row are answered 50300.",
		Expect: "the same pair again, with pauses; the client stays logged in",
		play: []step{
			loggedIn("phone"), later(untilExpiry), next(4, onRefresh, refuse(model.ErrUnavailable)), fromHere,
			callsUntilAnswered("phone"),
			sends(onRefresh, 5), sendsSamePair, pausesOnAverage(onRefresh, 100*time.Millisecond), staysLoggedIn("phone"),
		},
	},
	{
		Name:   "storm-of-requests",
		Story:  "Three requests in a row are answered 50300, and one 50000. The token is good.",
		Expect: "no refresh and no logout: the token has nothing to do with it",
		play: []step{
			loggedIn("phone"), next(3, onCall, refuse(model.ErrUnavailable)), next(1, onCall, refuse(model.ErrInternal)), fromHere,
			callsUntilAnswered("phone"), sends(onRefresh, 0), staysLoggedIn("phone"),
		},
	},
	{
		Name:   "proxy",
		Story:  "A proxy answers two refreshes with a page: 502, then 504.",
		Expect: "the same pair again; a page is no verdict",
		play: []step{
			loggedIn("phone"), later(untilExpiry), next(1, onRefresh, page(http.StatusBadGateway)), next(1, onRefresh, page(http.StatusGatewayTimeout)), fromHere,
			callsUntilAnswered("phone"), sends(onRefresh, 3), sendsSamePair, staysLoggedIn("phone"),
		},
	},
	{
		Name:   "proxy-says-401",
		Story:  "A proxy answers a refresh and a request with a page and status 401.",
		Expect: "a status without an envelope is no verdict of the service: the client stays logged in",
		play: []step{
			loggedIn("phone"), next(1, onCall, page(http.StatusUnauthorized)), tries("phone"), later(untilExpiry),
			next(1, onRefresh, page(http.StatusUnauthorized)), fromHere,
			callsUntilAnswered("phone"), sendsSamePair, staysLoggedIn("phone"),
		},
	},
	{
		Name:   "captive-portal",
		Story:  "A captive portal answers a request and a refresh with its page and status 200.",
		Expect: "no success is made of it: the request fails, the same pair is sent again",
		play: []step{
			loggedIn("phone"), always(onCall, page(http.StatusOK)), fails("phone"), wellAgain, later(untilExpiry),
			next(1, onRefresh, page(http.StatusOK)), fromHere,
			callsUntilAnswered("phone"), sendsSamePair, staysLoggedIn("phone"),
		},
	},
	{
		Name:   "redirect",
		Story:  "A captive portal redirects a refresh (307, which repeats the body) and a request (302) to a site of its own.",
		Expect: "no token goes to that site; the same pair is sent to the service again",
		play: []step{
			loggedIn("phone"), nextRedirected(onCall, http.StatusFound), tries("phone"), later(untilExpiry),
			nextRedirected(onRefresh, http.StatusTemporaryRedirect), fromHere,
			callsUntilAnswered("phone"), sendsSamePair, staysLoggedIn("phone"),
		},
	},
	{
		Name:   "retry-after",
		Story:  "A refresh is answered 42900 with Retry-After: 2.",
		Expect: "the same pair again, not before two seconds have passed",
		play: []step{
			loggedIn("phone"), later(untilExpiry), next(1, onRefresh, refuse(rateLimited)), fromHere,
			callsUntilAnswered("phone"),
			sends(onRefresh, 2), sendsSamePair, pauses(onRefresh, 2*time.Second), staysLoggedIn("phone"),
		},
	},
	{
		Name:   "network-lost",
		Story:  "The network is away, and comes back.",
		Expect: "the request fails, the client stays logged in, and the token is used when the network is back",
		play: []step{
			loggedIn("phone"), noNetwork, fails("phone"), staysLoggedIn("phone"),
			wellAgain, fromHere, calls("phone"), sends(onRefresh, 0), staysLoggedIn("phone"),
		},
	},
	{
		Name:   "unknown-members",
		Story:  "Answers have members that the client does not know, in the envelope and in its data.",
		Expect: "they are ignored",
		play: []step{
			always(onCode, addMembers), always(onLogin, addMembers), always(onRefresh, addMembers), always(onCall, addMembers), always(onCheck, addMembers),
			loggedIn("phone"), calls("phone"), later(untilExpiry), fromHere,
			calls("phone"), sends(onRefresh, 1), staysLoggedIn("phone"),
		},
	},
	{
		Name:   "unknown-code",
		Story:  "A refresh is refused with a code that the client does not know: 50399.",
		Expect: "its first three digits count: a service in trouble, the same pair again",
		play: []step{
			loggedIn("phone"), later(untilExpiry), next(1, onRefresh, refuse(laterTemporary)), fromHere,
			callsUntilAnswered("phone"), sends(onRefresh, 2), sendsSamePair, staysLoggedIn("phone"),
		},
	},
	{
		Name:     "always-200",
		Story:    "The service answers everything with status 200, for old clients (server.always_200).",
		Expect:   "the code of the envelope counts, not the status",
		settings: []string{"MENSHEN_SERVER_ALWAYS_200=true"},
		play: []step{
			loggedIn("phone"), later(untilExpiry), fromHere, calls("phone"), sends(onRefresh, 1),
			otherPhoneLogsIn, fails("phone"), isLoggedOut("phone", "displaced"),
		},
	},
}
