import { useTranslate, type Translate } from "../lib/language";
import { Time, useAgo } from "./parts";
import type { AuditEvent, Locks, Message, User } from "./types";
import { messageSentence } from "./words";

/** One thing that stands in a person's way, or does not. */
interface Reason { tone: "bad" | "good" | ""; text: string }

const ahead = (at: string | null | undefined) => !!at && Date.parse(at) > Date.now();

function lockReasons(locks: Locks, t: Translate, ago: (at: string) => string): Reason[] {
  const list: Reason[] = [];
  if (ahead(locks.failuresUntil)) list.push({ tone: "bad", text: t(`验证码输错 ${locks.failures} 次，登录被拒绝（42903），${ago(locks.failuresUntil!)}恢复。`, `${locks.failures} wrong codes: logins are refused (42903); this ends ${ago(locks.failuresUntil!)}.`) });
  if (ahead(locks.nextCodeAt)) list.push({ tone: "bad", text: t(`今天已发 ${locks.codesToday} 条，下一条验证码要等到${ago(locks.nextCodeAt!)}。`, `${locks.codesToday} codes were sent today; the next one is possible ${ago(locks.nextCodeAt!)}.`) });
  return list;
}

const silent = 120_000; // a message without a receipt for so long is worth a word

function messageReasons(messages: Message[], t: Translate, ago: (at: string) => string): Reason[] {
  const last = messages[0];
  if (!last) return [];
  const when = ago(last.at), said = messageSentence(last, t) + (last.reason && ` (${last.reason})`);
  if (["undelivered", "refused", "throttled"].includes(last.state)) return [{ tone: "bad", text: t(`最近一条短信（${when}，${last.provider}）：${said}`, `The last message (${when}, ${last.provider}): ${said}`) }];
  if (last.redeemedAt || last.state === "test") return [];
  if (last.state === "delivered") return [{ tone: "", text: t(`最近一条短信已送达（${when}），验证码尚未使用。`, `The last message was delivered (${when}); its code was not used yet.`) }];
  if (Date.now() - Date.parse(last.at) > silent) return [{ tone: "", text: t(`最近一条短信（${when}，${last.provider}）：${said}`, `The last message (${when}, ${last.provider}): ${said}`) }];
  return [];
}

function Reasons({ list }: { list: Reason[] }) {
  return <ul class="reasons">{list.map((reason) => <li key={reason.text} class={reason.tone}>{reason.text}</li>)}</ul>;
}

export function NumberReasons({ locks, messages = [] }: { locks: Locks; messages?: Message[] }) {
  const t = useTranslate(), ago = useAgo();
  const list = [...lockReasons(locks, t, ago), ...messageReasons(messages, t, ago)];
  if (!list.some(({ tone }) => tone === "bad")) list.push({ tone: "good", text: t("没有限制阻止这个号码获取验证码。", "No limit keeps this number from asking for a code.") });
  return <Reasons list={list} />;
}

/** Why this person cannot log in, in words. */
export function UserReasons({ user, messages = [], events = [] }: { user: User; messages?: Message[]; events?: AuditEvent[] }) {
  const t = useTranslate(), ago = useAgo();
  const list: Reason[] = [];
  if (user.deletedAt) list.push({ tone: "bad", text: t("账号已注销，号码可以重新注册。", "The account is deleted; its number may register anew.") });
  if (user.banned) {
    const end = user.bannedUntil ? t(`，${ago(user.bannedUntil)}到期`, `; it ends ${ago(user.bannedUntil)}`) : t("，没有期限", ", for good");
    list.push({ tone: "bad", text: t(`账号被封禁${end}：${user.banReason}`, `The account is banned${end}: ${user.banReason}`) });
  }
  if (user.locks) list.push(...lockReasons(user.locks, t, ago));
  list.push(...messageReasons(messages, t, ago));
  const last = events.find(({ kind }) => ["displaced", "kick", "reuse", "login"].includes(kind));
  if (last && last.kind !== "login" && !user.sessions.length) list.push({ tone: "", text: t(`最近一次会话${ago(last.at)}结束：${last.text.zh}`, `The last session ended ${ago(last.at)}: ${last.text.en}`) });
  if (!list.some(({ tone }) => tone === "bad")) list.push({ tone: "good", text: t("没有什么妨碍此人登录。", "Nothing keeps this person from logging in.") });
  return <Reasons list={list} />;
}

export function LocksView({ locks }: { locks: Locks }) {
  const t = useTranslate();
  return (
    <dl class="facts">
      <dt>{t("24 小时内输错", "Wrong codes in 24 h")}</dt><dd>{locks.failures}{locks.failuresUntil && <> · {t("拒绝登录至 ", "refused until ")}<Time at={locks.failuresUntil} /></>}</dd>
      <dt>{t("今天发送", "Codes today")}</dt><dd>{locks.codesToday}</dd>
      <dt>{t("下一条最早", "Next code")}</dt><dd>{locks.nextCodeAt ? <Time at={locks.nextCodeAt} /> : t("现在", "now")}</dd>
    </dl>
  );
}
