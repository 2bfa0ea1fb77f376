package conformance

import "time"

// refreshTraces are about the access token that expires every quarter of an hour.
var refreshTraces = []Trace{
	{
		Name:   "expired",
		Story:  "The access token has expired.",
		Expect: "one refresh with the kept pair, then the same request with the new token",
		play: []step{
			loggedIn("phone"), calls("phone"), sends(onRefresh, 0),
			later(untilExpiry), fromHere, calls("phone"),
			sends(onRefresh, 1), bearsNewest(onCall), staysLoggedIn("phone"),
		},
	},
	{
		Name:   "ten-at-once",
		Story:  "The access token has expired, and ten requests find out at once.",
		Expect: "they share one refresh, and all succeed",
		play: []step{
			loggedIn("phone"), later(untilExpiry), next(1, onRefresh, slowly(time.Second)), fromHere,
			atOnce(
				calls("phone"), calls("phone"), calls("phone"), calls("phone"), calls("phone"),
				calls("phone"), calls("phone"), calls("phone"), calls("phone"), calls("phone"),
			),
			sends(onRefresh, 1), staysLoggedIn("phone"),
		},
	},
	{
		Name:   "lost-answer",
		Story:  "The service has refreshed, and its answer is lost.",
		Expect: "the same pair is sent again; no logout, no login",
		play: []step{
			loggedIn("phone"), later(untilExpiry), next(1, onRefresh, loseAnswer), fromHere,
			callsUntilAnswered("phone"),
			sends(onRefresh, 2), sendsSamePair, staysLoggedIn("phone"),
		},
	},
	{
		Name:   "lost-answers",
		Story:  "Every answer to a refresh is lost. An hour later the network is back.",
		Expect: "the same pair every time, also an hour later; the client stays logged in meanwhile",
		play: []step{
			loggedIn("phone"), later(untilExpiry), always(onRefresh, loseAnswer), fromHere,
			fails("phone"), staysLoggedIn("phone"),
			wellAgain, later(time.Hour), callsUntilAnswered("phone"),
			sendsBetween(onRefresh, 2, 120), sendsSamePair, staysLoggedIn("phone"),
		},
	},
	{
		Name:   "reset",
		Story:  "The connection is reset after the refresh was read. The service never saw it.",
		Expect: "the same pair is sent again",
		play: []step{
			loggedIn("phone"), later(untilExpiry), next(1, onRefresh, reset), fromHere,
			callsUntilAnswered("phone"),
			sends(onRefresh, 2), sendsSamePair, staysLoggedIn("phone"),
		},
	},
	{
		Name:   "slow",
		Story:  "Answers take two seconds each.",
		Expect: "the client waits: one refresh, no second one out of impatience",
		play: []step{
			loggedIn("phone"), later(untilExpiry),
			always(onCall, slowly(2*time.Second)), always(onRefresh, slowly(2*time.Second)), fromHere,
			calls("phone"), sends(onRefresh, 1), staysLoggedIn("phone"),
		},
	},
	{
		Name:   "clock-ahead",
		Story:  "The client's clock is a day ahead of the service's: each token it gets seems to have expired yesterday.",
		Expect: "the token is used; the client neither refreshes before each request nor logs out",
		ahead:  -day,
		play: []step{
			loggedIn("phone"), fromHere, calls("phone"), calls("phone"), calls("phone"), calls("phone"), calls("phone"),
			sendsBetween(onRefresh, 0, 1), sends(onCall, 5), staysLoggedIn("phone"),
		},
	},
	{
		Name:   "clock-behind",
		Story:  "The client's clock is a day behind: tokens that have expired seem to be good until tomorrow.",
		Expect: "the service's 40101 counts: one refresh, then the same request again",
		ahead:  day,
		play: []step{
			loggedIn("phone"), later(untilExpiry), fromHere, calls("phone"),
			sends(onRefresh, 1), bearsNewest(onCall), staysLoggedIn("phone"),
		},
	},
	{
		Name:   "wrong-pair",
		Story:  "The service does not know the refresh token: 40104.",
		Expect: "the session is over for the client; the pair is forgotten and never sent again",
		play: []step{
			loggedIn("phone"), later(untilExpiry), always(onRefresh, forgeRefreshToken), fromHere,
			fails("phone"), sends(onRefresh, 1), isLoggedOut("phone", ""),
		},
	},
	{
		Name:   "stolen-pair",
		Story:  "A stranger has replayed an old pair of the device. The service has ended the session: 40103, reason reuse.",
		Expect: "the client is logged out with that reason, and does not try the pair again",
		play: []step{
			loggedIn("phone"), later(untilExpiry), calls("phone"), later(untilSettle), strangerReplays,
			fromHere, fails("phone"), sends(onRefresh, 0), isLoggedOut("phone", "reuse"),
		},
	},
}
