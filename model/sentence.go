package model

// Sentence returns what an event of this kind records, in both languages.
func (k Kind) Sentence() (zh, en string) {
	s := sentences[k]
	return s.zh, s.en
}

// Sentence returns what the event records: the sentence of its kind, except for a
// kick that ended no session.
func (e Event) Sentence() (zh, en string) {
	if e.Kind == EventKick && e.SessionID == "" {
		return "管理员执行了踢下线，但没有可结束的会话", "An operator's kick found no session to end."
	}
	return e.Kind.Sentence()
}

// sentences are the texts of the kinds; the map is never written to.
var sentences = map[Kind]struct{ zh, en string }{
	EventRegister:       {"注册账号", "The account was registered."},
	EventCodeSent:       {"发送验证码", "A verification code was sent."},
	EventCodeFailed:     {"验证码错误", "A verification code was wrong."},
	EventLogin:          {"登录", "The user signed in."},
	EventDisplaced:      {"被另一台设备顶下线", "The session was displaced by another device."},
	EventRelogin:        {"同一设备重新登录", "The same device signed in again."},
	EventLogout:         {"退出登录", "The user signed out."},
	EventKick:           {"被管理员踢下线", "An operator ended the session."},
	EventBan:            {"被封禁", "The account was banned."},
	EventUnban:          {"解除封禁", "The ban was lifted."},
	EventReuse:          {"检测到旧令牌重放，会话已结束", "An old token pair was replayed; the session ended."},
	EventExpired:        {"会话到期", "The session expired."},
	EventRecover:        {"补发丢失的刷新响应", "A lost refresh response was reissued."},
	EventAdopt:          {"数据库状态早于令牌（可能来自备份恢复），已同步", "The database was older than the token, as after a restored backup, and was updated."},
	EventDeviceBound:    {"绑定设备", "A device was bound."},
	EventDeviceMismatch: {"设备不符", "Another device used the token."},
	EventUserChanged:    {"修改资料", "The profile was changed."},
	EventNumberChanged:  {"更换手机号", "The number was changed."},
	EventUserDeleted:    {"注销账号", "The account was deleted."},
	EventKickWar:        {"两台设备反复互踢", "Two devices keep displacing each other."},
	EventPumping:        {"疑似短信盗刷", "SMS pumping is suspected."},
	EventConfigChanged:  {"配置变更", "The configuration was changed."},
	EventUnlocked:       {"解除号码限制", "An operator lifted the limits of the number."},
	EventUserCreated:    {"管理员创建账号", "An operator created the account."},
	EventExported:       {"管理员导出了用户数据", "An operator exported the user's data."},
	EventViewed:         {"管理员查看了用户", "An operator looked at the user."},
	EventReceipt:        {"服务商回报短信结果", "The vendor reported on a message."},
	EventConversionLow:  {"短信到达率异常下降", "Messages of a vendor are redeemed far less than usual."},
	EventDenied:         {"管理员越权操作被拒绝", "An operator's key was refused an operation beyond its role."},
}
