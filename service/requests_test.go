package service_test

import (
	"context"
	"fmt"
	"sync"
	"time"

	"menshen/model"
	"menshen/service"
	"menshen/service/code"
)

// inbox is a provider that keeps every message.
type inbox struct {
	mu       sync.Mutex
	received []model.Message
	made     int
	fail     error                     // the result of Send
	during   func(ctx context.Context) // called by Send; may be nil
}

// Send keeps the message.
func (p *inbox) Send(ctx context.Context, message model.Message) (model.Sent, error) {
	if p.during != nil {
		p.during(ctx)
	}
	p.mu.Lock()
	defer p.mu.Unlock()
	p.received = append(p.received, message)
	return model.Sent{MessageID: message.ID}, p.fail
}

// newCode returns a code that it has not returned before.
func (p *inbox) newCode(length int) string {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.made++
	return fmt.Sprintf("%0*d", length, p.made)
}

func (p *inbox) messages() []model.Message {
	p.mu.Lock()
	defer p.mu.Unlock()
	return append([]model.Message(nil), p.received...)
}

// last returns the newest code.
func (p *inbox) last() model.Secret {
	p.mu.Lock()
	defer p.mu.Unlock()
	if len(p.received) == 0 {
		return ""
	}
	return p.received[len(p.received)-1].Code
}

// wrong is a code that is never sent.
const wrong = model.Secret("999999")

// sendCode requests a code for a login.
func (in *instance) sendCode(mobile string, change ...func(r *code.SendRequest)) (code.SendResult, error) {
	r := code.SendRequest{Mobile: mobile, Purpose: model.PurposeLogin, Caller: model.Caller{IP: "192.0.2.1", RequestID: "r"}}
	for _, c := range change {
		c(&r)
	}
	return in.codes.Send(in.t.Context(), r)
}

// receiveCode requests a code, which must be sent, and returns it.
func (in *instance) receiveCode(mobile string, change ...func(r *code.SendRequest)) model.Secret {
	in.t.Helper()
	if _, err := in.sendCode(mobile, change...); err != nil {
		in.t.Fatalf("send a code: %v", err)
	}
	return in.phone.last()
}

func forCompany(t int32) func(r *code.SendRequest) {
	return func(r *code.SendRequest) { r.CompanyType = t }
}

func forPurpose(p model.Purpose) func(r *code.SendRequest) {
	return func(r *code.SendRequest) { r.Purpose = p }
}

func fromIP(ip string) func(r *code.SendRequest) {
	return func(r *code.SendRequest) { r.Caller.IP = ip }
}

// tryLogIn logs in with a code. Each change modifies the request.
func (in *instance) tryLogIn(mobile string, code model.Secret, change ...func(r *service.LoginRequest)) (service.LoginResult, error) {
	ctx, cancel := context.WithTimeout(in.t.Context(), time.Minute) // of many at once on a slow machine
	defer cancel()
	return in.login.Do(ctx, loginRequest(mobile, code, change...))
}

func loginRequest(mobile string, code model.Secret, change ...func(r *service.LoginRequest)) service.LoginRequest {
	r := service.LoginRequest{Mobile: mobile, ValidateNo: code, Source: "store", Caller: model.Caller{IP: "192.0.2.1", RequestID: "r"}}
	for _, c := range change {
		c(&r)
	}
	return r
}

func on(product int32) func(r *service.LoginRequest) {
	return func(r *service.LoginRequest) { r.ProductType = product }
}

func inCompany(t int32) func(r *service.LoginRequest) {
	return func(r *service.LoginRequest) { r.CompanyType = t }
}

// onDevice is on and withDevice in one, with a name made from the number.
func onDevice(product int32, number string) func(r *service.LoginRequest) {
	return func(r *service.LoginRequest) {
		r.ProductType, r.DeviceNumber, r.Caller.Device = product, number, "phone "+number
	}
}

func withDevice(number, name string) func(r *service.LoginRequest) {
	return func(r *service.LoginRequest) { r.DeviceNumber, r.Caller.Device = number, name }
}

func replacing(session string) func(r *service.LoginRequest) {
	return func(r *service.LoginRequest) { r.ReplaceSession = session }
}

// client is what a client keeps after a login.
type client struct {
	service.LoginResult
	user    int64
	session string
	access  model.Secret
	refresh model.Secret
	claims  model.Claims
}

// logIn requests a code and logs in with it, which must succeed.
func (in *instance) logIn(mobile string, change ...func(r *service.LoginRequest)) client {
	in.t.Helper()
	r := service.LoginRequest{}
	for _, c := range change {
		c(&r)
	}
	result, err := in.tryLogIn(mobile, in.receiveCode(mobile, forCompany(r.CompanyType)), change...)
	if err != nil {
		in.t.Fatalf("log in: %v", err)
	}
	return in.clientOf(result)
}

// clientOf returns the client that received the result of a login.
func (in *instance) clientOf(result service.LoginResult) client {
	in.t.Helper()
	claims := in.claims(result.Access.Value)
	return client{result, claims.UserID, claims.SessionID, result.Access.Value, result.Refresh.Value, claims}
}

// claims returns the claims of a token, which must verify.
func (in *instance) claims(access model.Secret) model.Claims {
	in.t.Helper()
	claims, err := in.sessions.Tokens.Verify(string(access))
	if err != nil {
		in.t.Fatalf("verify: %v", err)
	}
	return claims
}

func (in *instance) check(c client, device string) (service.CheckResult, error) {
	return in.sessions.Check(in.t.Context(), c.claims, device, model.Caller{IP: "192.0.2.1"})
}

func (in *instance) refresh(access, refresh model.Secret) (service.IssuedToken, error) {
	return in.sessions.Refresh(in.t.Context(), access, refresh, model.Caller{IP: "192.0.2.1"})
}
