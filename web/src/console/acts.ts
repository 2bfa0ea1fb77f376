import type { Translate } from "../lib/language";
import { call, type Call } from "./api";
import type { Me, Role, Session, User } from "./types";
import { productName } from "./words";

export interface Values { reason: string; until: string; mobile: string; validateNo: string }
export type FieldName = keyof Values;

/** Something that an operator does to a person: its consequences, and the request that it is. */
export interface Act {
  name: string;
  needs: Role;
  danger?: boolean;
  label: (t: Translate) => string;
  title: (t: Translate) => string;
  consequences: (t: Translate) => string[];
  fields: FieldName[];
  call: (values: Values) => Call;
  command: (values: Values) => string; // the same on a shell of the deployment
  sends?: (values: Values) => Call; // the code that the field validateNo asks for
  sendCommand?: (values: Values) => string;
  done: (data: unknown, t: Translate) => string;
  undo?: Act;
}

const ranks: Role[] = ["read", "support", "admin"];
export const may = (me: Me, act: Act) => ranks.indexOf(me.role) >= ranks.indexOf(act.needs);

/** The text as one word of a shell. */
export const quote = (text: string) => (/^[\w.:/@=,+-]+$/.test(text) ? text : `'${text.replaceAll("'", `'\\''`)}'`);

export function curlOf({ method, path, body }: Call): string {
  const parts = [`curl -X ${method} ${quote(location.origin + path)}`, `-H "Authorization: Bearer $ADMIN_KEY"`];
  if (body) parts.push(`-H 'Content-Type: application/json'`, `-d ${quote(JSON.stringify(body))}`);
  return parts.join(" \\\n  ");
}

const ended = (data: unknown) => (data as { ended?: number } | null)?.ended ?? 0;
const sessions = (t: Translate, n: number) => t(`结束了 ${n} 个会话`, n === 1 ? "1 session ended" : `${n} sessions ended`);

/** What an act asks for before anything was filled in. */
export const nothingYet: Values = { reason: "", until: "", mobile: "", validateNo: "" };

export function unban(user: User): Act {
  return {
    name: "unban", needs: "support", label: (t) => t("解封", "Lift the ban"), title: (t) => t("解除封禁？", "Lift the ban?"),
    consequences: (t) => [t("可以立刻重新登录。", "The user can log in again at once."), t("被封禁结束的会话不会恢复。", "The sessions that the ban ended do not come back.")],
    fields: [], call: () => call("post", "/admin/users/{id}/unban", { id: user.id }), command: () => `menshen user unban ${user.id}`,
    done: (_, t) => t("已解封", "The ban is lifted"),
  };
}

export function ban(user: User): Act {
  const n = user.sessions.length;
  return {
    name: "ban", needs: "support", danger: true, label: (t) => t("封禁", "Ban"), title: (t) => t("封禁这个账号？", "Ban this account?"),
    consequences: (t) => [
      n ? t(`立刻结束 ${n} 个会话。`, n === 1 ? "Its one session ends at once." : `Its ${n} sessions end at once.`) : t("现在没有会话可结束。", "It has no session to end."),
      t("到期之前，登录时即使验证码正确也会被拒绝，并告知封禁的期限。", "Until it ends, a login is refused even with the right code, and told until when."),
      t("可以随时解封。", "The ban can be lifted at any time."),
    ],
    fields: ["until", "reason"],
    call: ({ reason, until }) => call("post", "/admin/users/{id}/ban", { id: user.id }, until ? { reason, until } : { reason }),
    command: ({ reason, until }) => `menshen user ban ${user.id} -reason ${quote(reason)}${until ? ` -until ${until}` : ""}`,
    done: (data, t) => t("已封禁，", "Banned; ") + sessions(t, ended(data)), undo: user.banned ? undefined : unban(user), // the former ban would not come back
  };
}

export function kick(user: User, me: Me, session?: Session): Act {
  const n = user.sessions.length;
  return {
    name: "kick", needs: "support", danger: true, label: (t) => (session ? t("踢下线", "Kick") : t("全部踢下线", "Kick all")),
    title: (t) => (session ? t("把这台设备踢下线？", "Kick this device?") : t("把所有设备踢下线？", "Kick all devices?")),
    consequences: (t) => [
      session ? t(`结束 ${productName(me, session.productType)} 的一个会话：`, `One session of ${productName(me, session.productType)} ends: `) + `${session.deviceName || session.id} (${session.ip})`
        : t(`结束全部 ${n} 个会话。`, n === 1 ? "The one session ends." : `All ${n} sessions end.`),
      t("设备在一秒内得知，须重新获取验证码登录。", "The device learns of it within a second, and must log in again with a code."),
      t("不能撤销；账号本身不受影响。", "This cannot be undone. The account itself is not affected."),
    ],
    fields: ["reason"],
    call: ({ reason }) => call("post", "/admin/users/{id}/kick", { id: user.id }, session ? { sessionId: session.id, reason } : { reason }),
    command: ({ reason }) => `menshen user kick ${user.id} -reason ${quote(reason)}${session ? ` -session ${session.id}` : ""}`,
    done: (data, t) => sessions(t, ended(data)),
  };
}

const unlockConsequences = (t: Translate) => [
  t("清除该号码的失败次数与发送配额，可以立刻获取验证码。", "The number's failures and its quota of messages are forgotten: it can ask for a code at once."),
  t("已登录过的设备失去优先通道，直到下次登录。", "Devices that have logged in before lose their own quota until the next login."),
  t("请先确认来电者就是号码的主人。", "Verify first that the caller owns the number."),
];
const cleared = (data: unknown, t: Translate) => {
  const n = (data as { cleared?: number } | null)?.cleared ?? 0;
  return n ? t(`已解除 ${n} 项限制`, n === 1 ? "1 limit lifted" : `${n} limits lifted`) : t("没有需要解除的限制", "There was no limit to lift");
};

export function unlock(user: User): Act {
  return {
    name: "unlock", needs: "support", label: (t) => t("解除限制", "Unlock"), title: (t) => t("解除号码限制？", "Unlock the number?"), consequences: unlockConsequences,
    fields: ["reason"],
    call: ({ reason }) => call("post", "/admin/users/{id}/unlock", { id: user.id }, { reason }),
    command: ({ reason }) => `menshen unlock NUMBER -reason ${quote(reason)}`, done: cleared,
  };
}

export function unlockNumber(mobile: string, masked: string): Act {
  return {
    name: "unlock", needs: "support", label: (t) => t("解除限制", "Unlock"), title: (t) => t(`解除 ${masked} 的限制？`, `Unlock ${masked}?`), consequences: unlockConsequences,
    fields: ["reason"], call: ({ reason }) => call("post", "/admin/numbers/unlock", {}, { mobile, reason }),
    command: ({ reason }) => `menshen unlock ${quote(mobile)} -reason ${quote(reason)}`, done: cleared,
  };
}

export function changeNumber(user: User): Act {
  return {
    name: "mobile", needs: "admin", label: (t) => t("更换号码", "Change number"), title: (t) => t("更换手机号", "Change the number"),
    consequences: (t) => [
      t("用于丢失旧号码的用户：验证码发往新号码。", "For a user who lost the old number: the code goes to the new one."),
      t("所有会话被踢下线，所有设备凭证失效。", "All sessions are kicked, and all device credentials end."),
      t("请先核实身份：这把账号交给新号码的持有人。", "Verify the identity first: this hands the account to the holder of the new number."),
    ],
    fields: ["mobile", "validateNo", "reason"],
    sends: ({ mobile }) => call("post", "/admin/users/{id}/code", { id: user.id }, { mobile }),
    sendCommand: ({ mobile }) => `menshen user code ${user.id} ${quote(mobile || "NUMBER")}`,
    call: ({ mobile, validateNo, reason }) => call("post", "/admin/users/{id}/mobile", { id: user.id }, { mobile, validateNo, reason }),
    command: ({ mobile, validateNo, reason }) => `menshen user mobile ${user.id} ${quote(mobile || "NUMBER")} -code ${quote(validateNo)} -reason ${quote(reason)}`,
    done: (_, t) => t("号码已更换", "The number is changed"),
  };
}

export function remove(user: User): Act {
  return {
    name: "delete", needs: "admin", danger: true, label: (t) => t("删除账号", "Delete"), title: (t) => t("删除这个账号？", "Delete this account?"),
    consequences: (t) => [
      t("结束所有会话，抹去个人信息。", "All sessions end and the personal data is erased."),
      user.banned ? t("账号已封禁，号码不会被释放。", "The account is banned, so its number is not freed.") : t("释放号码，之后可以重新注册为新账号。", "The number is freed and may register anew."),
      t("不能撤销。审计记录保留用户 id。", "This cannot be undone. The audit keeps the id."),
    ],
    fields: ["reason"],
    call: ({ reason }) => call("delete", "/admin/users/{id}", { id: user.id }, { reason }),
    command: ({ reason }) => `menshen user delete ${user.id} -reason ${quote(reason)}`, done: (data, t) => t("已删除，", "Deleted; ") + sessions(t, ended(data)),
  };
}

export function exportOf(user: User): Act {
  return {
    name: "export", needs: "admin", label: (t) => t("导出数据", "Export"), title: (t) => t("导出此人的全部数据？", "Export all data of this person?"),
    consequences: (t) => [
      t("下载一个 JSON 文件：资料、会话、短信、事件，含完整手机号。", "A JSON file is downloaded: profile, sessions, messages, events, with the whole number."),
      t("导出会记入审计。", "The export is recorded in the audit."),
    ],
    fields: [], call: () => call("get", "/admin/users/{id}/export", { id: user.id }), command: () => `menshen user export ${user.id}`, done: (_, t) => t("已导出", "Exported"),
  };
}
