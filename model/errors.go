// Package model holds the types that all layers share and the one table of failures.
// It imports no other package of the project.
package model

import (
	"errors"
	"fmt"
	"strings"
	"time"
)

// Failure is a response that is not a success: a code that never changes its meaning
// and a sentence for the end user in two languages. The HTTP status is the first
// three digits of the code, so there is no second table.
//
// Wrap, With, After and Taking return copies: the rows of the table never change.
type Failure struct {
	Code int32  // HTTP status × 100 + n
	Zh   string // sentence in Chinese
	En   string // sentence in English, printable ASCII

	data  any
	after time.Duration
	cause error
}

// The table of failures. docs/errors.md is generated from it.
var (
	ErrMalformed       = &Failure{Code: 40000, Zh: "请求参数有误", En: "The request is not valid."}
	ErrMobile          = &Failure{Code: 40001, Zh: "手机号不正确或暂不支持", En: "This mobile number is not valid or not supported."}
	ErrCode            = &Failure{Code: 40002, Zh: "验证码错误或已失效", En: "The verification code is wrong or no longer valid."}
	ErrToken           = &Failure{Code: 40100, Zh: "登录已失效，请重新登录", En: "The credential is missing or not valid. Please sign in again."}
	ErrTokenExpired    = &Failure{Code: 40101, Zh: "访问令牌已过期，请刷新", En: "The access token has expired. Please refresh it."}
	ErrDisplaced       = &Failure{Code: 40102, Zh: "您的账号已在另一台设备登录", En: "Your account has signed in on another device."}
	ErrSessionEnded    = &Failure{Code: 40103, Zh: "登录已结束，请重新登录", En: "This session has ended. Please sign in again."}
	ErrRefreshToken    = &Failure{Code: 40104, Zh: "刷新令牌无效，请重新登录", En: "The refresh token is not valid. Please sign in again."}
	ErrStalePair       = &Failure{Code: 40105, Zh: "令牌已更新，请读取最新令牌后重试", En: "A newer token pair exists. Read your storage again and retry once."}
	ErrBanned          = &Failure{Code: 40300, Zh: "账号已被封禁", En: "This account is banned."}
	ErrRole            = &Failure{Code: 40301, Zh: "该管理密钥无权执行此操作", En: "This operator's key may not do that."}
	ErrNotFound        = &Failure{Code: 40400, Zh: "请求的资源不存在", En: "There is no such route or resource."}
	ErrMethod          = &Failure{Code: 40500, Zh: "不支持的请求方法", En: "This method is not allowed here."}
	ErrDeviceLimit     = &Failure{Code: 40900, Zh: "登录设备数已达上限", En: "The device limit has been reached."}
	ErrNumberTaken     = &Failure{Code: 40901, Zh: "该手机号已被注册", En: "This number already has an account."}
	ErrExternalIDTaken = &Failure{Code: 40902, Zh: "该 externalId 已被占用", En: "This externalId is taken in the company."}
	ErrTooLarge        = &Failure{Code: 41300, Zh: "请求内容过大", En: "The request body is too large."}
	ErrMediaType       = &Failure{Code: 41500, Zh: "请求内容须为 application/json", En: "The request body must be application/json."}
	ErrTooMany         = &Failure{Code: 42900, Zh: "请求过于频繁，请稍后再试", En: "Too many requests. Please try again later."}
	ErrCooldown        = &Failure{Code: 42901, Zh: "验证码发送过于频繁，请稍后再试", En: "A code was sent recently. Please try again later."}
	ErrDailyLimit      = &Failure{Code: 42902, Zh: "该号码今日验证码次数已达上限", En: "The daily limit of codes for this number has been reached."}
	ErrTooManyFailures = &Failure{Code: 42903, Zh: "验证码错误次数过多，请稍后再试", En: "Too many failed codes for this number. Please try again later."}
	ErrInternal        = &Failure{Code: 50000, Zh: "服务器内部错误", En: "Something went wrong on our side."}
	ErrUnavailable     = &Failure{Code: 50300, Zh: "服务暂不可用，请稍后再试", En: "The service is temporarily unavailable. Please try again."}
	ErrProvider        = &Failure{Code: 50301, Zh: "短信发送失败，请稍后再试", En: "The message could not be sent. Please try again later."}
)

// Failures lists the whole table in the order of the codes.
func Failures() []*Failure {
	return []*Failure{
		ErrMalformed, ErrMobile, ErrCode,
		ErrToken, ErrTokenExpired, ErrDisplaced, ErrSessionEnded, ErrRefreshToken, ErrStalePair,
		ErrBanned, ErrRole, ErrNotFound, ErrMethod, ErrDeviceLimit, ErrNumberTaken, ErrExternalIDTaken, ErrTooLarge, ErrMediaType,
		ErrTooMany, ErrCooldown, ErrDailyLimit, ErrTooManyFailures,
		ErrInternal, ErrUnavailable, ErrProvider,
	}
}

// Status is the HTTP status of the failure.
func (f *Failure) Status() int { return int(f.Code / 100) }

// Error is for logs. The client gets Zh or En and never the cause.
func (f *Failure) Error() string {
	if f.cause != nil {
		return fmt.Sprintf("%d %s: %v", f.Code, f.En, f.cause)
	}
	return fmt.Sprintf("%d %s", f.Code, f.En)
}

// Unwrap returns the cause, which goes to the log only; it may be nil.
func (f *Failure) Unwrap() error { return f.cause }

// Is compares codes, so that a copy equals its row of the table.
func (f *Failure) Is(target error) bool {
	other, ok := target.(*Failure)
	return ok && other.Code == f.Code
}

// Wrap returns a copy with a cause for the log.
func (f *Failure) Wrap(cause error) *Failure {
	copied := *f
	copied.cause = cause
	return &copied
}

// With returns a copy with data for the client. The data must marshal to JSON.
func (f *Failure) With(data any) *Failure {
	copied := *f
	copied.data = data
	return &copied
}

// After returns a copy with the time after which the client may retry.
func (f *Failure) After(d time.Duration) *Failure {
	copied := *f
	copied.after = d
	return &copied
}

// Taking returns a copy of ErrMediaType for a route that takes another media type, which
// its sentences name.
func (f *Failure) Taking(mediaType string) *Failure {
	copied := *f
	copied.Zh = strings.Replace(f.Zh, "application/json", mediaType, 1)
	copied.En = strings.Replace(f.En, "application/json", mediaType, 1)
	return &copied
}

// ToOperator returns a copy of ErrToken for the admin listener, where the credential is an
// operator's key.
func (f *Failure) ToOperator() *Failure {
	copied := *f
	copied.Zh, copied.En = "管理密钥缺失或不正确", "The admin key is missing or wrong."
	return &copied
}

// Data is the member "data" of the response, nil for null.
func (f *Failure) Data() any { return f.data }

// RetryAfter is the value of the header Retry-After in whole seconds, rounded up: at
// least 1 for status 429 and for a failure with a time, else 0.
func (f *Failure) RetryAfter() int64 {
	if f.after <= 0 && f.Status() != 429 {
		return 0
	}
	return max(1, int64((f.after+time.Second-1)/time.Second))
}

// AsFailure returns the failure that err wraps. Without one it returns ErrInternal
// with err as the cause.
func AsFailure(err error) *Failure {
	if f, ok := errors.AsType[*Failure](err); ok {
		return f
	}
	return ErrInternal.Wrap(err)
}

// FieldProblem names one field of a request and the reason for its refusal.
type FieldProblem struct {
	Field  string `json:"field"`
	Reason string `json:"reason"`
}

// The reasons of a FieldProblem.
const (
	ReasonRequired  = "required"  // missing
	ReasonType      = "type"      // of another JSON type, or null
	ReasonRange     = "range"     // a number out of range
	ReasonLength    = "length"    // too short or too long
	ReasonCharset   = "charset"   // has a character that is not allowed
	ReasonFormat    = "format"    // not of the required form
	ReasonUnknown   = "unknown"   // names something that does not exist
	ReasonConflict  = "conflict"  // given more than once, differently
	ReasonDuplicate = "duplicate" // given more than once
)

// Malformed is ErrMalformed with its list of fields.
func Malformed(problems ...FieldProblem) *Failure {
	return ErrMalformed.With(struct {
		Fields []FieldProblem `json:"fields"`
	}{problems})
}

// MalformedField is Malformed for one field.
func MalformedField(field, reason string) *Failure {
	return Malformed(FieldProblem{Field: field, Reason: reason})
}
