package model

// Request is what the middleware has found out about a request.
type Request struct {
	ID string // X-Request-Id
	IP string // the client's address, behind trusted proxies only
	// Language of sentences and messages, from Accept-Language: LanguageZhCN or LanguageEn.
	Language string
	Token    Secret   // of the Authorization header, set by a guard
	Claims   Claims   // of Token, set by RequireToken
	Session  Session  // of Token, set by RequireSession
	Key      AdminKey // of the operator, on the admin listener
}

// Caller is the sender of a request, as the event log names it.
type Caller struct {
	IP        string
	Device    string // label of the device, never its number
	RequestID string
}

// Asker is the client whose request for a code has to pass a challenge.
type Asker struct {
	Number []byte // key of the number that the code is for
	IP     string
	At     Time // of the request
}
