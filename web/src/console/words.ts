import type { Translate } from "../lib/language";
import type { AuditEvent, Me, Message, Text } from "./types";

const kinds: Record<string, [string, string]> = {
  register: ["注册", "registered"], code_sent: ["发送验证码", "code sent"], code_failed: ["验证码错误", "code wrong"], login: ["登录", "login"],
  displaced: ["被顶下线", "displaced"], relogin: ["同设备重登", "same device again"], logout: ["退出", "logout"], kick: ["踢下线", "kick"],
  ban: ["封禁", "ban"], unban: ["解封", "unban"], reuse: ["旧令牌重放", "reuse"], expired: ["到期", "expired"], recover: ["补发响应", "recover"],
  adopt: ["状态同步", "adopt"], device_bound: ["绑定设备", "device bound"], device_mismatch: ["设备不符", "device mismatch"],
  user_changed: ["修改资料", "profile changed"], number_changed: ["换号", "number changed"], user_deleted: ["注销", "deleted"],
  kick_war: ["反复互踢", "kick war"], pumping: ["疑似盗刷", "pumping"], config_changed: ["配置变更", "configuration"],
  conversion_low: ["转化率过低", "conversion low"], unlocked: ["解除限制", "unlocked"], viewed: ["查看", "viewed"], denied: ["越权被拒", "denied"],
  user_created: ["创建账号", "created"], exported: ["导出", "exported"], receipt: ["短信回执", "receipt"],
};

export const kindNames = Object.keys(kinds);
export const kindWord = (kind: string, t: Translate) => (kinds[kind] ? t(...kinds[kind]) : kind);

const bad = new Set(["reuse", "kick_war", "pumping", "conversion_low", "denied", "ban", "device_mismatch", "code_failed", "user_deleted"]);
const good = new Set(["login", "register", "unban", "unlocked", "user_created"]);
export const toneOf = (kind: string) => (bad.has(kind) ? "bad" : good.has(kind) ? "good" : "");

const states: Record<string, [string, string, string]> = {
  accepted: ["已受理", "accepted", ""], delivered: ["已送达", "delivered", "good"], undelivered: ["未送达", "undelivered", "bad"],
  refused: ["被拒绝", "refused", "bad"], throttled: ["超出限额", "throttled", "bad"], unknown: ["不明", "unknown", ""], test: ["测试", "test", ""],
};
export const stateNames = Object.keys(states);
export const stateWord = (state: string, t: Translate) => (states[state] ? t(states[state][0], states[state][1]) : state);
export const stateTone = (state: string) => states[state]?.[2] ?? "";

const reasons: Record<string, [string, string]> = {
  displaced: ["被顶下线", "displaced"], relogin: ["同一设备重新登录", "same device signs in again"], logged_out: ["已退出", "logged out"],
  kicked: ["被踢下线", "kicked"], banned: ["被封禁", "banned"], reuse: ["旧令牌重放", "reuse"], expired: ["到期", "expired"],
};
export const reasonWord = (reason: string, t: Translate) => (reasons[reason] ? t(...reasons[reason]) : reason);

const purposes: Record<string, [string, string]> = { login: ["登录", "login"], change: ["换号", "change of number"], delete: ["注销", "deletion"] };
export const purposeWord = (purpose: string, t: Translate) => (purposes[purpose] ? t(...purposes[purpose]) : purpose);

const named = (list: { type: number; name: string }[], type: number) => list.find((one) => one.type === type)?.name || String(type);
export const productName = (me: Me, type: number) => named(me.products, type);
export const companyName = (me: Me, type: number) => named(me.companies, type);

export const sentence = (text: Text | undefined, t: Translate) => (text ? t(text.zh, text.en) : "");
export const messageSentence = (message: Message, t: Translate) => sentence(message.text, t) || stateWord(message.state, t);

const details: Record<string, [string, string]> = {
  reason: ["原因", "reason"], by: ["来自", "by"], until: ["至", "until"], count: ["次数", "times"], source: ["来源", "source"], productType: ["产品", "product"],
  provider: ["服务商", "provider"], state: ["状态", "state"], route: ["接口", "route"], role: ["角色", "role"], needs: ["需要", "needs"],
  messageId: ["短信编号", "message"], mobile: ["号码", "number"], purpose: ["用途", "purpose"], what: ["类型", "what"], sent: ["已发", "sent"], budget: ["预算", "budget"],
  window: ["窗口", "window"], region: ["地区", "region"], ratio: ["转化率", "ratio"], before: ["此前", "before"], group: ["产品组", "group"], times: ["次数", "times"], keys: ["配置项", "keys"],
};

/** The detail of an event as pairs of word and value. */
export function detailPairs(event: AuditEvent, me: Me, t: Translate): [string, string][] {
  return Object.entries(event.detail ?? {}).filter(([name, value]) => value !== "" && !(name === "count" && value === 1)).map(([name, value]) => {
    const word = details[name] ? t(...details[name]) : name;
    if (name === "productType") return [word, productName(me, Number(value))];
    return [word, typeof value === "string" ? value : JSON.stringify(value)];
  });
}
