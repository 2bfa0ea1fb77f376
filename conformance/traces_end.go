package conformance

import (
	"time"

	"menshen/model"
)

// endTraces are about sessions that end, as a request finds out.
var endTraces = []Trace{
	{
		Name:   "displaced",
		Story:  "Another phone has logged in. The next request is answered 40102.",
		Expect: "the client is logged out, reason displaced: no refresh, no logout, and the tokens are sent no more",
		play: []step{
			loggedIn("phone"), otherPhoneLogsIn, fromHere, fails("phone"), sends(onRefresh, 0), isLoggedOut("phone", "displaced"),
		},
	},
	{
		Name:   "displaced-during-refresh",
		Story:  "Another phone logs in while the client refreshes. The refresh is answered 40102.",
		Expect: "the client is logged out, reason displaced; it does not refresh again",
		play: []step{
			loggedIn("phone"), later(untilExpiry), beforeNext(onRefresh, otherPhoneLogsIn), fromHere,
			fails("phone"), sends(onRefresh, 1), isLoggedOut("phone", "displaced"),
		},
	},
	{
		Name:   "banned",
		Story:  "An operator has banned the user, who then tries to log in again.",
		Expect: "the client is logged out, reason banned; the login's 40300 is reported",
		play: []step{
			loggedIn("phone"), operator("ban"), fromHere, fails("phone"), sends(onRefresh, 0), isLoggedOut("phone", "banned"),
			asksForCode("phone", alice), isRefused("phone", false, 40300),
		},
	},
	{
		Name:   "unknown-reason",
		Story:  "A session has ended for a reason that the client does not know.",
		Expect: "the code counts: the client is logged out, whatever the reason",
		play: []step{
			loggedIn("phone"), always(onCall, refuse(laterReason)), fromHere, fails("phone"), sends(onRefresh, 0), isLoggedOut("phone", ""),
		},
	},
}

// pushTraces are about the end of a session that is reported at once, by the event stream
// or by a held check.
var pushTraces = []Trace{
	{
		Name:   "push-displaced",
		Story:  "The client watches. Another phone logs in.",
		Expect: "the client reports the end unasked, reason displaced",
		play: []step{
			loggedIn("phone"), watches("phone"), awaits(onPush, 1), otherPhoneLogsIn, reportsEnd("phone", "displaced"), isLoggedOut("phone", "displaced"),
		},
	},
	{
		Name:   "push-kicked",
		Story:  "The client watches. An operator ends the session.",
		Expect: "the client reports the end unasked, reason kicked",
		play: []step{
			loggedIn("phone"), watches("phone"), awaits(onPush, 1), operator("kick"), reportsEnd("phone", "kicked"), isLoggedOut("phone", "kicked"),
		},
	},
	{
		Name:   "push-missed",
		Story:  "The client watches. The network is lost, another phone logs in, the network is back.",
		Expect: "the client connects again and learns what it has missed",
		play: []step{
			loggedIn("phone"), watches("phone"), awaits(onPush, 1), noNetwork, otherPhoneLogsIn, wellAgain,
			reportsEnd("phone", "displaced"), isLoggedOut("phone", "displaced"),
		},
	},
	{
		Name:   "push-cut",
		Story:  "The push is cut again and again: a proxy closes it after each connection.",
		Expect: "the client connects again after a pause, not in a tight loop, and stays logged in",
		play: []step{
			loggedIn("phone"), next(4, onPush, cutAtOnce), fromHere, watches("phone"), awaits(onPush, 5),
			pausesOnAverage(onPush, 200*time.Millisecond), staysLoggedIn("phone"),
			operator("kick"), reportsEnd("phone", "kicked"),
		},
	},
	{
		Name:   "push-storm",
		Story:  "The push is refused four times with 50300.",
		Expect: "the client asks again after pauses, and stays logged in",
		play: []step{
			loggedIn("phone"), next(4, onPush, refuse(model.ErrUnavailable)), fromHere, watches("phone"), awaits(onPush, 5),
			pausesOnAverage(onPush, 200*time.Millisecond), staysLoggedIn("phone"),
			operator("kick"), reportsEnd("phone", "kicked"),
		},
	},
	{
		Name:   "push-expired",
		Story:  "The push is cut, and the access token has expired meanwhile.",
		Expect: "the client refreshes and watches with the new token",
		play: []step{
			loggedIn("phone"), watches("phone"), awaits(onPush, 1), later(untilExpiry), fromHere, cutsStreams,
			awaits(onRefresh, 1), awaitsNewest(onPush), staysLoggedIn("phone"),
		},
	},
	{
		Name:   "push-noise",
		Story:  "The stream holds comments, blank data, CRLF and events of kinds that the client does not know.",
		Expect: "they are ignored; the end is reported when it comes",
		play: []step{
			loggedIn("phone"), always(onPush, noisy), fromHere, watches("phone"), awaits(onPush, 1), calls("phone"), staysLoggedIn("phone"),
			operator("kick"), reportsEnd("phone", "kicked"), isLoggedOut("phone", "kicked"),
		},
	},
}
