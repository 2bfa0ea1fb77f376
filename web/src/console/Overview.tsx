import { useState } from "preact/hooks";
import { useTranslate } from "../lib/language";
import { useLoad, useOperator } from "./api";
import { Chart } from "./Chart";
import { Panel, Show } from "./parts";
import type { Breakdown, Stats, StatsItem } from "./types";
import { productName } from "./words";

const hour = 3_600_000, day = 24 * hour;
const spans: [string, number, string, string][] = [["1d", day, "24 小时", "24 hours"], ["3d", 3 * day, "3 天", "3 days"], ["7d", 7 * day, "7 天", "7 days"], ["30d", 30 * day, "30 天", "30 days"]];

/** Each hour or day of the span, those without events too. */
function filled(stats: Stats, from: number, to: number): StatsItem[] {
  const step = to - from > 3 * day ? day : hour;
  const known = new Map(stats.items.map((item) => [Math.floor(Date.parse(item.from) / step), item]));
  const all: StatsItem[] = [];
  for (let at = Math.floor(from / step); at * step < to; at++)
    all.push(known.get(at) ?? { from: new Date(at * step).toISOString(), codes: { sent: 0, redeemed: 0, failed: 0 }, registrations: [], logins: [], displaced: 0, kicked: 0, reuse: 0, events: {} });
  return all;
}

const sum = (list: Breakdown[]) => list.reduce((n, { count }) => n + count, 0);

/** A series for each of the commonest values of a part, and one for the rest. */
function series(items: StatsItem[], of: (item: StatsItem) => Breakdown[], by: (part: Breakdown) => string, rest: string) {
  const totals = new Map<string, number>();
  for (const item of items) for (const part of of(item)) totals.set(by(part), (totals.get(by(part)) ?? 0) + part.count);
  const names = [...totals].sort((a, b) => b[1] - a[1]).map(([name]) => name);
  const shown = names.slice(0, 4);
  const all = shown.map((name) => ({ name, values: items.map((item) => sum(of(item).filter((part) => by(part) === name))) }));
  if (names.length > shown.length) all.push({ name: rest, values: items.map((item) => sum(of(item).filter((part) => !shown.includes(by(part))))) });
  return all;
}

export function Overview() {
  const t = useTranslate();
  const { api, me } = useOperator();
  const [span, setSpan] = useState("1d");
  const length = spans.find(([name]) => name === span)![1];
  const stats = useLoad(async (signal) => {
    const to = Date.now(), from = to - length;
    const time = (at: number) => new Date(at).toISOString().replace(/\.\d+Z$/, "Z");
    const data = await api.get<Stats>("/admin/stats", { from: time(from) }, signal);
    return { data, items: filled(data, from, to) };
  }, [span]);
  return (
    <>
      <div class="page-head">
        <h1>{t("概览", "Overview")}</h1>
        <div class="segments" role="group" aria-label={t("时间范围", "Span")}>
          {spans.map(([name, , zh, en]) => <button key={name} class="slim" aria-pressed={name === span} onClick={() => setSpan(name)}>{t(zh, en)}</button>)}
        </div>
      </div>
      <Show of={stats}>
        {({ data, items }) => {
          const total = (of: (item: StatsItem) => number) => items.reduce((n, item) => n + of(item), 0);
          const sent = total((i) => i.codes.sent), redeemed = total((i) => i.codes.redeemed);
          const active = Object.entries(data.activeSessions);
          const tiles: [string, string, string?][] = [
            [t("发送验证码", "Codes sent"), sent.toLocaleString()],
            [t("被使用", "Redeemed"), redeemed.toLocaleString(), sent ? `${Math.round(100 * Math.min(1, redeemed / sent))} %` : undefined],
            [t("注册", "Registered"), total((i) => sum(i.registrations)).toLocaleString()], [t("登录", "Logins"), total((i) => sum(i.logins)).toLocaleString()],
            [t("在线会话", "Live sessions"), active.reduce((n, [, count]) => n + count, 0).toLocaleString(), active.map(([type, count]) => `${productName(me, Number(type))} ${count}`).join(" · ")],
          ];
          const labels = items.map((item) => item.from);
          return (
            <>
              <Alarms items={items} />
              <ul class="tiles">{tiles.map(([name, value, more]) => <li class="card" key={name}><span class="soft small">{name}</span><b>{value}</b><span class="soft small clip">{more}</span></li>)}</ul>
              <div class="columns even">
                <Panel title={t("验证码", "Codes")}><Chart labels={labels} series={[
                  { name: t("发送", "sent"), values: items.map((i) => i.codes.sent) }, { name: t("使用", "redeemed"), values: items.map((i) => i.codes.redeemed) },
                  { name: t("输错", "wrong"), values: items.map((i) => i.codes.failed) },
                ]} /></Panel>
                <Panel title={t("登录，按产品", "Logins by product")}><Chart labels={labels} series={series(items, (i) => i.logins, (p) => productName(me, p.productType), t("其他", "others"))} /></Panel>
                <Panel title={t("注册，按来源", "Registrations by source")}><Chart labels={labels} series={series(items, (i) => i.registrations, (p) => p.source || t("（无）", "(none)"), t("其他", "others"))} /></Panel>
                <Panel title={t("会话被结束", "Sessions ended")}><Chart labels={labels} series={[
                  { name: t("顶下线", "displaced"), values: items.map((i) => i.displaced) }, { name: t("踢下线", "kicked"), values: items.map((i) => i.kicked) },
                  { name: t("旧令牌重放", "reuse"), values: items.map((i) => i.reuse) },
                ]} /></Panel>
              </div>
            </>
          );
        }}
      </Show>
    </>
  );
}

/** What needs an operator's eye, with what to do about it. */
function Alarms({ items }: { items: StatsItem[] }) {
  const t = useTranslate();
  const count = (kind: string) => items.reduce((n, item) => n + (item.events[kind] ?? 0), 0);
  const alarms: [string, string, string][] = [
    ["pumping", t("疑似短信盗刷", "SMS pumping is suspected"), t("看审计中的号段与来源；必要时收紧 guard 与 code.per_block_*，或启用人机验证。", "Look at its numbers and addresses in the audit; tighten guard and code.per_block_*, or demand a challenge.")],
    ["conversion_low", t("服务商转化率过低", "A vendor's conversion is low"), t("验证码可能没有送达：看短信页的回执，调整 sms.routes 的次序。", "Codes may not arrive: look at the receipts in Messages, and change the order of sms.routes.")],
    ["reuse", t("旧令牌重放", "Old tokens were replayed"), t("会话已结束。若集中于一个客户端版本，多半是它没有保存新令牌。", "The sessions have ended. If one version of a client stands out, it probably fails to store new tokens.")],
    ["kick_war", t("两台设备反复互踢", "Two devices displace each other"), t("账号共享或被盗：打开用户，核实主人，必要时踢下线。", "A shared account, or a thief: open the user, verify the owner, kick if need be.")],
    ["denied", t("越权的管理请求", "Operators' requests were denied"), t("看审计：哪把密钥，想做什么。", "See in the audit which key wanted what.")],
  ];
  const raised = alarms.map(([kind, what, then]) => ({ kind, what, then, n: count(kind) })).filter(({ n }) => n > 0);
  if (!raised.length) return <p class="verdict good" role="status">{t("没有警报。", "No alarms.")}</p>;
  return (
    <ul class="alarms">
      {raised.map(({ kind, what, then, n }) => (
        <li class="card" key={kind}><b>{what}</b><span class="chip bad">{n}</span><p class="soft small">{then} <a href={`#/audit?kind=${kind}`}>{t("在审计中查看", "See the audit")}</a></p></li>
      ))}
    </ul>
  );
}
