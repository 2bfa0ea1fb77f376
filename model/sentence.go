package model

// Sentence says what a line of this kind tells, in both languages.
func (k Kind) Sentence() (zh, en string) {
	s := sentences[k]
	return s.zh, s.en
}

// Sentence says what the line tells: that of its kind, save for a kick that found
// nothing to end, which has no session.
func (e Event) Sentence() (zh, en string) {
	if e.Kind == EventKick && e.SessionID == "" {
		return "运营人员踢下线，但没有可终止的会话", "An operator's kick found no session to end."
	}
	return e.Kind.Sentence()
}

// sentences are the kinds in words; it is never written to.
var sentences = map[Kind]struct{ zh, en string }{
	EventRegister:       {"注册账号", "The account was registered."},
	EventCodeSent:       {"发送验证码", "A verification code was sent."},
	EventCodeFailed:     {"验证码错误", "A verification code was wrong."},
	EventLogin:          {"登录", "The user signed in."},
	EventDisplaced:      {"被另一台设备顶替", "The session was displaced by another device."},
	EventRelogin:        {"同一设备重新登录", "The same device signed in anew."},
	EventLogout:         {"退出登录", "The user signed out."},
	EventKick:           {"被运营人员踢下线", "An operator ended the session."},
	EventBan:            {"被封禁", "The account was banned."},
	EventUnban:          {"解除封禁", "The ban was lifted."},
	EventReuse:          {"检测到旧凭证重放，会话终止", "An old token pair was replayed; the session ended."},
	EventExpired:        {"会话到期", "The session expired."},
	EventRecover:        {"找回丢失的刷新应答", "A lost answer to a refresh was made good."},
	EventAdopt:          {"数据库落后于凭证，已跟进", "The database was older than the token and followed it."},
	EventDeviceBound:    {"绑定设备", "A device was bound."},
	EventDeviceMismatch: {"设备不符", "Another device used the token."},
	EventUserChanged:    {"修改资料", "The profile was changed."},
	EventNumberChanged:  {"更换手机号", "The number was changed."},
	EventUserDeleted:    {"注销账号", "The account was deleted."},
	EventKickWar:        {"两台设备反复互踢", "Two devices keep displacing each other."},
	EventPumping:        {"疑似刷短信", "Messages are being pumped."},
	EventConfigChanged:  {"配置变更", "The configuration was changed."},
}
