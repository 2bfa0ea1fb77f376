package conformance

import "menshen/model"

// codeTraces are about asking for codes and logging in with them.
var codeTraces = []Trace{
	{
		Name:   "ticket",
		Story:  "The app is started again between the request for a code and the login.",
		Expect: "the login bears the ticket of the code, which was kept: strangers cannot use up its attempts",
		play: []step{
			opens("phone"), asksForCode("phone", alice), restarts("phone"), entersCode("phone", alice), sendsTicket, staysLoggedIn("phone"),
		},
	},
	{
		Name:   "credential",
		Story:  "The user logs out and asks for another code later.",
		Expect: "the request bears the device credential of the last login with that number",
		play: []step{
			loggedIn("phone"), logsOut("phone"), restarts("phone"), asksForCode("phone", alice), sendsCredential(true),
		},
	},
	{
		Name:   "credential-of-another",
		Story:  "Another user asks for a code on the same device.",
		Expect: "the request does not bear the credential of the first number",
		play: []step{
			loggedIn("phone"), logsOut("phone"), asksForCode("phone", bob), sendsCredential(false),
		},
	},
	{
		Name:   "challenge",
		Story:  "The number's hour is used up: the next code needs a challenge.",
		Expect: "the same request again with the answer to the challenge; the login bears the ticket of that code",
		settings: []string{
			"MENSHEN_CODE_PER_MOBILE_HOUR=2", "MENSHEN_CHALLENGE_PROVIDERS=turnstile", "MENSHEN_CHALLENGE_TURNSTILE_SITE_KEY=site",
			"MENSHEN_CHALLENGE_TURNSTILE_SECRET=conformance", "MENSHEN_CHALLENGE_TURNSTILE_URL={other}/siteverify",
		},
		play: []step{
			opens("phone"), asksForCode("phone", alice), asksForCode("phone", alice), fromHere, asksForCode("phone", alice), sends(onCode, 2),
			entersCode("phone", alice), sendsTicket, staysLoggedIn("phone"),
		},
	},
	{
		Name:   "wrong-code",
		Story:  "The user mistypes the code, and then enters it right.",
		Expect: "40002 is reported, and both attempts bear the ticket",
		play: []step{
			opens("phone"), asksForCode("phone", alice), isRefused("phone", true, 40002), sendsTicket,
			entersCode("phone", alice), sendsTicket, staysLoggedIn("phone"),
		},
	},
	{
		Name:   "code-storm",
		Story:  "A device that is logged in asks for another code, and is answered 50300.",
		Expect: "the failure is reported, and the client stays logged in",
		play: []step{
			loggedIn("phone"), always(onCode, refuse(model.ErrUnavailable)), failsToAsk("phone", 50300), wellAgain, calls("phone"), staysLoggedIn("phone"),
		},
	},
}

// logoutTraces are about leaving.
var logoutTraces = []Trace{
	{
		Name:   "logout",
		Story:  "The user logs out.",
		Expect: "the service has ended the session, and the tokens are sent no more",
		play: []step{
			loggedIn("phone"), logsOut("phone"), sessionEnded("logged_out"), fromHere, fails("phone"), sendsNoToken,
		},
	},
	{
		Name:   "logout-expired",
		Story:  "The user logs out with an access token that has expired.",
		Expect: "the service has ended the session all the same",
		play: []step{
			loggedIn("phone"), later(untilExpiry), logsOut("phone"), sessionEnded("logged_out"),
		},
	},
	{
		Name:   "logout-lost-answer",
		Story:  "The service has ended the session, and its answer to the logout is lost.",
		Expect: "the client is logged out in the end, and the tokens are sent no more",
		play: []step{
			loggedIn("phone"), next(1, onLogout, loseAnswer), logsOutInTheEnd("phone"), fromHere, fails("phone"), sendsNoToken,
		},
	},
	{
		Name:   "logout-without-network",
		Story:  "The logout does not reach the service. The user tries again later.",
		Expect: "the client does not report success while the session is active",
		play: []step{
			loggedIn("phone"), next(1, onLogout, reset), logsOutInTheEnd("phone"), sessionEnded("logged_out"),
		},
	},
}
