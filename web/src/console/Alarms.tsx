import { useTranslate } from "../lib/language";
import type { Api } from "./api";
import { EventList } from "./Audit";
import { total } from "./figures";
import type { AuditEvent, EventKind, Period } from "./types";

interface Alarm { name: string; kind: EventKind; about?: (event: AuditEvent) => boolean; zh: [string, string]; en: [string, string] }

const ofBudget = (event: AuditEvent) => event.detail?.what === "budget";

// What an operator must look at, and what to do about it.
const alarms: Alarm[] = [
  { name: "pumping", kind: "pumping", about: (event) => !ofBudget(event), zh: ["疑似短信盗刷", "未通过的号段与地址段在 guard.window 内自动受限。若真实用户受阻，放宽 guard；否则收紧 guard 与 code.per_block_*，或启用人机验证。"],
    en: ["SMS pumping is suspected", "The prefix or block is limited by itself for guard.window. If real users are hit, loosen guard; else tighten guard and code.per_block_*, or demand a challenge."] },
  { name: "budget", kind: "pumping", about: ofBudget, zh: ["短信预算已用五分之四", "用尽后只有已知设备能获取验证码。先查是否盗刷；若是正常增长，提高 code.daily_budget，无须重启。"],
    en: ["Four fifths of the budget of messages are used", "At its end only known devices get codes. Look for pumping first; if it is growth, raise code.daily_budget, which needs no restart."] },
  { name: "conversion_low", kind: "conversion_low", zh: ["服务商转化率过低", "验证码可能没有送达：看短信页的回执，用 menshen sms test 试发，调整 sms.routes 的次序。"],
    en: ["A vendor's conversion is low", "Codes may not arrive: look at the receipts in Messages, try menshen sms test, and change the order of sms.routes."] },
  { name: "reuse", kind: "reuse", zh: ["旧令牌重放", "会话已结束。若集中于一个客户端版本，多半是它没有保存新令牌；若集中于一个用户，可能被盗。"],
    en: ["Old tokens were replayed", "The sessions have ended. If one version of a client stands out, it probably fails to store new tokens; if one user does, think of a thief."] },
  { name: "kick_war", kind: "kick_war", zh: ["两台设备反复互踢", "账号共享或被盗：打开用户，核实主人，必要时踢下线或更换号码。"],
    en: ["Two devices displace each other", "A shared account, or a thief: open the user, verify the owner, kick or change the number if need be."] },
  { name: "denied", kind: "denied", zh: ["越权的管理请求", "看是哪把密钥、想做什么：误配的角色，或泄露的密钥（换掉它）。"],
    en: ["Operators' requests were denied", "See which key wanted what: a role that is too small, or a key that leaked (replace it)."] },
];

export interface Raised { alarm: Alarm; count: number; newest: AuditEvent[] }

const mostPages = 8, shown = 3;

/** Reads the events of the alarms that the periods count, one kind after the other; null if they cannot be read. */
export function raisedIn(api: Api, items: Period[], from: string, signal: AbortSignal): Promise<Raised[] | null> {
  return read(api, items, from, signal).catch((problem: Error) => {
    if (signal.aborted) throw problem;
    return null;
  });
}

async function read(api: Api, items: Period[], from: string, signal: AbortSignal): Promise<Raised[]> {
  const kinds = [...new Set(alarms.map(({ kind }) => kind))].filter((kind) => total(items, (item) => item.events[kind] ?? 0) > 0);
  const events = new Map<EventKind, AuditEvent[]>();
  for (const kind of kinds) {
    const all: AuditEvent[] = [];
    let cursor: string | null = null;
    for (let page = 0; page < mostPages && (page === 0 || cursor); page++) {
      const part: { items: AuditEvent[]; next: string | null } = await api.get("/admin/audit", { kind, from, cursor }, signal);
      all.push(...part.items);
      cursor = part.next;
      if (kind !== "pumping") break; // the others need no count of their own
    }
    events.set(kind, all);
  }
  return alarms.flatMap((alarm) => {
    const newest = (events.get(alarm.kind) ?? []).filter(alarm.about ?? (() => true));
    const count = alarm.about ? newest.length : total(items, (item) => item.events[alarm.kind] ?? 0);
    return newest.length ? [{ alarm, count, newest: newest.slice(0, shown) }] : [];
  });
}

/** What needs an operator's eye, with what to do about it. */
export function Alarms({ raised }: { raised: Raised[] | null }) {
  const t = useTranslate();
  if (!raised) return <p class="verdict bad" role="status">{t("警报读取失败，稍后重试。", "The alarms cannot be read; try again later.")}</p>;
  if (!raised.length) return <p class="verdict good" role="status">{t("没有警报。", "No alarms.")}</p>;
  return (
    <ul class="alarms">
      {raised.map(({ alarm, count, newest }) => (
        <li class="card" key={alarm.name} data-alarm={alarm.name}>
          <b>{t(alarm.zh[0], alarm.en[0])}</b><span class="chip bad">{count}</span>
          <p class="soft small">{t(alarm.zh[1], alarm.en[1])} <a href={`#/audit?kind=${alarm.kind}`}>{t("在审计中查看", "See the audit")}</a></p>
          <EventList events={newest} />
        </li>
      ))}
    </ul>
  );
}
