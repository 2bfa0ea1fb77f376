package conformance

import "time"

// tabTraces are about several clients on one storage: the tabs of a browser, an app and its
// extension, a process and its successor.
var tabTraces = []Trace{
	{
		Name:   "two-tabs",
		Story:  "Two tabs find at once that the access token has expired.",
		Expect: "one refresh or two, both tabs succeed, and both go on with the token that is kept",
		play: []step{
			loggedInTabs, later(untilExpiry), fromHere, atOnce(calls("left"), calls("right")), sendsBetween(onRefresh, 1, 2),
			later(untilSettle), fromHere, calls("left"), bearsNewest(onCall), calls("right"), bearsNewest(onCall),
			sends(onRefresh, 0), staysLoggedIn("left"),
		},
	},
	{
		Name:   "old-process",
		Story:  "A tab has slept while another one refreshed twice. It may still know the pair of an hour ago.",
		Expect: "it reads the storage before it sends: its request bears the newest token",
		play: []step{
			loggedInTabs, calls("left"), later(untilExpiry), calls("right"), later(untilExpiry), calls("right"), later(untilSettle),
			firstSendsNewest("left"), sends(onRefresh, 0), staysLoggedIn("left"),
		},
	},
	{
		Name:   "stale-pair",
		Story:  "A tab's refresh hangs while another tab refreshes twice. When it arrives, its pair is stale: 40105.",
		Expect: "the storage is read again: the request is repeated with the newer token that is kept there",
		play: []step{
			loggedInTabs, later(untilExpiry), holdsRequest(onRefresh, "left's refresh"),
			during(calls("left"),
				awaits(onRefresh, 1), calls("right"), later(untilExpiry), calls("right"), fromHere,
				opensDoor("left's refresh"),
			),
			firstBearsNewest(onCall), sends(onRefresh, 0), staysLoggedIn("left"),
		},
	},
	{
		Name:   "late-answer",
		Story:  "The answer to a tab's refresh hangs while another tab refreshes twice. Then it arrives.",
		Expect: "the older token does not replace the newer one that is kept",
		play: []step{
			loggedInTabs, later(untilExpiry), holdsAnswer(onRefresh, "left's answer"),
			during(tries("left"),
				awaits(onRefresh, 1), calls("right"), later(untilExpiry), calls("right"), later(untilSettle),
				opensDoor("left's answer"),
			),
			firstSendsNewest("right"), sends(onRefresh, 0), staysLoggedIn("right"),
		},
	},
	{
		Name:   "another-login",
		Story:  "A tab's refresh hangs. In another tab the user logs out, and another one logs in. Then the refresh is refused.",
		Expect: "the refusal of the old pair does not log the new user out",
		play: []step{
			loggedInTabs, later(untilExpiry), holdsRequest(onRefresh, "left's refresh"),
			during(tries("left"),
				awaits(onRefresh, 1), logsOut("right"), logsIn("right", bob), opensDoor("left's refresh"),
			),
			firstSendsNewest("right"), staysLoggedIn("right"),
		},
	},
}

// loggedInTabs opens two tabs on one storage and logs in on the left one.
var loggedInTabs = all(opensOn("left", "browser"), opensOn("right", "browser"), logsIn("left", alice))

// restartTraces are about what is kept, and when.
var restartTraces = []Trace{
	{
		Name:   "reloaded",
		Story:  "The page is reloaded, the app is started again.",
		Expect: "the kept pair is used, without a login; it can be refreshed too",
		play: []step{
			loggedIn("phone"), restarts("phone"), staysLoggedIn("phone"), fromHere, calls("phone"), sends(onRefresh, 0),
			later(untilExpiry), restarts("phone"), fromHere, calls("phone"), sends(onRefresh, 1), bearsNewest(onCall), staysLoggedIn("phone"),
		},
	},
	{
		Name:   "killed-before-use",
		Story:  "The client is killed right after a refresh was answered, before the new token was used. It starts again a minute later.",
		Expect: "the new token was written before its first use, and is sent now",
		play: []step{
			loggedIn("phone"), later(untilExpiry), next(1, onCall, (*exchange).pass), holdsRequest(onCall, "the first use"), fromHere,
			begins("phone"), awaits(onCall, 2), isKilled("phone"),
			later(untilSettle), opens("phone"), firstSendsNewest("phone"), staysLoggedIn("phone"),
		},
	},
	{
		Name:   "killed-during-refresh",
		Story:  "The client is killed while it waits for the answer to a refresh. It starts again an hour later.",
		Expect: "the kept pair is sent again: a lost answer like any other",
		play: []step{
			loggedIn("phone"), later(untilExpiry), holdsAnswer(onRefresh, "the answer"),
			begins("phone"), awaits(onRefresh, 1), isKilled("phone"), opensDoor("the answer"),
			later(time.Hour), opens("phone"), callsUntilAnswered("phone"), sendsSamePair, staysLoggedIn("phone"),
		},
	},
	{
		Name:   "asleep",
		Story:  "The device has slept for two weeks. Its session has expired meanwhile.",
		Expect: "the client is logged out, reason expired, and sends the pair no more",
		play: []step{
			loggedIn("phone"), later(untilAsleep), fromHere, fails("phone"), sendsBetween(onRefresh, 0, 1), isLoggedOut("phone", "expired"),
		},
	},
	{
		Name:   "device-number",
		Story:  "The user logs out, the app is started again, the user logs in.",
		Expect: "the device has one number, which outlives logouts and restarts",
		play: []step{
			loggedIn("phone"), logsOut("phone"), restarts("phone"), logsIn("phone", alice), sendsOneDeviceNumber, staysLoggedIn("phone"),
		},
	},
}
