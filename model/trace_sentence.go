package model

import "strings"

// Sentence returns what is known of the message, in both languages: its state and, as far as
// it has one of the commonest codes of its vendor, why.
func (m TracedMessage) Sentence() (zh, en string) {
	s := messageStates[m.State]
	if why, known := vendorCodes[m.Provider][m.Reason]; known {
		return s.zh + "：" + why.zh, strings.TrimSuffix(s.en, ".") + ": " + why.en
	}
	return s.zh, s.en
}

// text is a sentence in both languages.
type text struct{ zh, en string }

// messageStates are the sentences of the states; the map is never written to.
var messageStates = map[MessageState]text{
	MessageAccepted:    {"服务商已受理，尚无回执", "The vendor took the message; there is no receipt yet."},
	MessageDelivered:   {"已送达", "The message was delivered."},
	MessageUndelivered: {"未送达", "The message was not delivered."},
	MessageRefused:     {"服务商拒绝发送", "The vendor refused the message."},
	MessageThrottled:   {"超出服务商限额", "A limit of the vendor was reached."},
	MessageUnknown:     {"结果不明，短信可能送达", "The vendor gave no clear answer; the message may arrive."},
	MessageTest:        {"测试号码或测试短信", "The message was a test."},
}

// vendorCodes are the commonest codes by provider; the map is never written to. Sources: the
// vendors' tables of error codes and of receipts.
var vendorCodes = map[string]map[string]text{
	"aliyun": {
		"isv.BUSINESS_LIMIT_CONTROL":      {"该号码触发服务商频率限制", "too many messages to this number."},
		"isv.DAY_LIMIT_CONTROL":           {"账号达到每日发送上限", "the account reached its daily limit."},
		"isv.AMOUNT_NOT_ENOUGH":           {"账户余额不足", "the account has no balance left."},
		"isv.OUT_OF_SERVICE":              {"账户欠费停机", "the account is suspended for unpaid bills."},
		"isv.ACCOUNT_NOT_EXISTS":          {"账号不存在", "the account does not exist."},
		"isv.MOBILE_NUMBER_ILLEGAL":       {"号码格式不被接受", "the vendor takes the number for invalid."},
		"isv.SMS_TEMPLATE_ILLEGAL":        {"模板不存在或未审核通过", "the template does not exist or is not approved."},
		"isv.SMS_SIGNATURE_ILLEGAL":       {"签名不存在或未审核通过", "the signature does not exist or is not approved."},
		"isv.SMS_SIGN_ILLEGAL":            {"签名不存在或未审核通过", "the signature does not exist or is not approved."},
		"isv.TEMPLATE_MISSING_PARAMETERS": {"缺少模板变量", "a variable of the template is missing."},
		"isv.BLACK_KEY_CONTROL_LIMIT":     {"内容含有违禁词", "the text holds a forbidden word."},
		"isp.RAM_PERMISSION_DENY":         {"子账号没有发送权限", "the access key may not send messages."},
		"SignatureDoesNotMatch":           {"密钥错误", "the secret of the access key is wrong."},
		"InvalidAccessKeyId.NotFound":     {"AccessKey 不存在", "the access key does not exist."},
		"UNDELIVERED":                     {"运营商未能送达，手机可能关机或停机", "the carrier could not deliver; the phone may be off."},
		"BLACKLIST":                       {"号码在黑名单中，用户可能已退订", "the number is on a blacklist; its owner may have opted out."},
		"BLACK":                           {"号码在黑名单中，用户可能已退订", "the number is on a blacklist; its owner may have opted out."},
		"REJECTED":                        {"被运营商拒绝", "the carrier rejected the message."},
		"EXPIRED":                         {"在有效期内未能送达", "the message expired before it could be delivered."},
		"UNKNOWN":                         {"运营商没有说明原因", "the carrier gave no reason."},
		"MOBILE_NOT_ON_SERVICE":           {"手机停机或空号", "the number is not in service."},
		"MOBILE_TERMINAL_ERROR":           {"手机终端异常", "the phone failed to take the message."},
	},
	"tencent": {
		"LimitExceeded.PhoneNumberThirtySecondLimit":                {"该号码 30 秒内已发送过", "another message to this number less than 30 s ago."},
		"LimitExceeded.PhoneNumberOneHourLimit":                     {"该号码达到每小时上限", "too many messages to this number in an hour."},
		"LimitExceeded.PhoneNumberDailyLimit":                       {"该号码达到每日上限", "too many messages to this number in a day."},
		"LimitExceeded.DeliveryFrequencyLimit":                      {"发送频率超限", "too many messages at once."},
		"FailedOperation.InsufficientBalanceInSmsPackage":           {"短信套餐包余量不足", "the package of messages is used up."},
		"FailedOperation.SignatureIncorrectOrUnapproved":            {"签名不存在或未审核通过", "the signature does not exist or is not approved."},
		"FailedOperation.TemplateIncorrectOrUnapproved":             {"模板不存在或未审核通过", "the template does not exist or is not approved."},
		"FailedOperation.TemplateUnapprovedOrNotExist":              {"模板不存在或未审核通过", "the template does not exist or is not approved."},
		"FailedOperation.PhoneNumberInBlacklist":                    {"号码在黑名单中，用户可能已退订", "the number is on a blacklist; its owner may have opted out."},
		"FailedOperation.ContainSensitiveWord":                      {"内容含有敏感词", "the text holds a forbidden word."},
		"InvalidParameterValue.IncorrectPhoneNumber":                {"号码格式不被接受", "the vendor takes the number for invalid."},
		"InvalidParameterValue.TemplateParameterFormatError":        {"模板变量格式错误", "a variable of the template has a wrong form."},
		"UnauthorizedOperation.SmsSdkAppIdVerifyFail":               {"SdkAppId 错误", "the SdkAppId is wrong."},
		"AuthFailure.SignatureFailure":                              {"密钥错误", "the secret of the API key is wrong."},
		"AuthFailure.SecretIdNotFound":                              {"密钥不存在", "the API key does not exist."},
		"UnsupportedOperation.ChineseMainlandTemplateToGlobalPhone": {"国内模板不能发往境外号码", "the template is for the mainland, the number is not."},
		"UNDELIV":     {"运营商未能送达，手机可能关机或停机", "the carrier could not deliver; the phone may be off."},
		"REJECTD":     {"被运营商拒绝", "the carrier rejected the message."},
		"EXPIRED":     {"在有效期内未能送达", "the message expired before it could be delivered."},
		"UNKNOWN":     {"运营商没有说明原因", "the carrier gave no reason."},
		"MOBILEBLACK": {"号码在黑名单中，用户可能已退订", "the number is on a blacklist; its owner may have opted out."},
	},
	"twilio": {
		"20003": {"账号或密钥错误", "the account or its token is wrong."},
		"20429": {"请求过于频繁", "too many requests at once."},
		"21211": {"号码无效", "the number is not valid."},
		"21408": {"账号未开通该地区", "the account may not send to this region."},
		"21606": {"发送号码不可用", "the sender cannot be used."},
		"21608": {"试用账号只能发往已验证的号码", "a trial account sends to verified numbers alone."},
		"21610": {"用户已退订", "the owner of the number has opted out."},
		"21611": {"发送队列已满", "the queue of the sender is full."},
		"21612": {"该发送方无法发往此号码", "the sender cannot reach this number."},
		"21614": {"不是手机号", "the number is not a mobile one."},
		"30003": {"手机关机或不在服务区", "the phone is off or out of reach."},
		"30004": {"被接收方或运营商屏蔽", "the message is blocked for this number."},
		"30005": {"空号或停机", "the number does not exist or is out of service."},
		"30006": {"固定电话或无法到达的运营商", "a landline, or a carrier that cannot be reached."},
		"30007": {"被运营商当作垃圾短信过滤", "the carrier filtered the message as spam."},
		"30008": {"运营商没有说明原因", "the carrier gave no reason."},
		"30034": {"发送号码未登记（美国 A2P 10DLC）", "the sender is not registered (A2P 10DLC, USA)."},
		"63038": {"账号达到每日发送上限", "the account reached its daily limit."},
	},
}
