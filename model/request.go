package model

// Request is what the guards before a handler found out about a request.
type Request struct {
	ID string // X-Request-Id
	IP string // the client's address, behind trusted proxies only
	// Language of sentences and messages by Accept-Language: LanguageZhCN or LanguageEn.
	Language string
	Token    Secret  // of the Authorization header, once a guard has read it
	Claims   Claims  // of Token, once verified
	Session  Session // of Token, once found alive
	Actor    string  // name of the admin key, on the admin listener
}

// Asked is implemented by the writer of an answer: it gives the request that is
// answered.
type Asked interface{ Asked() *Request }

// Constant is the data of an answer that is the same every time: it is rendered
// once. It is known by its pointer and never changes.
type Constant struct{ Data any }
