import { useState } from "preact/hooks";
import { useTranslate } from "../lib/language";
import { Alarms, raisedIn } from "./Alarms";
import { useLoad, useOperator } from "./api";
import { Chart } from "./Chart";
import { bySource, byVendor, filled, series, share, spans, sum, total, vendorName, vendorSeries, type SourceRow, type VendorRow } from "./figures";
import { Empty, Panel, Show } from "./parts";
import type { Period, Stats } from "./types";
import { productName } from "./words";

export function Overview() {
  const t = useTranslate();
  const { api } = useOperator();
  const [name, setName] = useState("1d");
  const span = spans.find((one) => one.name === name)!;
  const stats = useLoad(async (signal) => {
    const now = Date.now(), since = now - span.length;
    const from = new Date(since).toISOString().replace(/\.\d+Z$/, "Z");
    const data = await api.get("/admin/stats", { from, step: span.step }, signal);
    const items = filled(data, since, now, span.step);
    return { data, items, raised: await raisedIn(api, items, from, signal), rows: bySource(items, span.step, now) };
  }, [name]);
  return (
    <>
      <div class="page-head">
        <h1>{t("概览", "Overview")}</h1>
        <div class="segments" role="group" aria-label={t("时间范围", "Span")}>
          {spans.map((one) => <button key={one.name} class="slim" aria-pressed={one.name === name} onClick={() => setName(one.name)}>{t(one.zh, one.en)}</button>)}
        </div>
      </div>
      <Show of={stats}>
        {({ data, items, raised, rows }) => (
          <>
            <Alarms raised={raised} />
            <Tiles data={data} items={items} />
            <Plots items={items} rows={rows} />
          </>
        )}
      </Show>
    </>
  );
}

function Tiles({ data, items }: { data: Stats; items: Period[] }) {
  const t = useTranslate();
  const { me } = useOperator();
  const sent = total(items, (i) => i.codes.sent), redeemed = total(items, (i) => i.codes.redeemed);
  const active = Object.entries(data.activeSessions);
  const tiles: [string, string, string?][] = [
    [t("发送验证码", "Codes sent"), sent.toLocaleString()],
    [t("被使用", "Redeemed"), redeemed.toLocaleString(), sent ? share(Math.min(sent, redeemed), sent) : undefined],
    [t("注册", "Registered"), total(items, (i) => sum(i.registrations)).toLocaleString()], [t("登录", "Logins"), total(items, (i) => sum(i.logins)).toLocaleString()],
    [t("短信费用", "Cost"), total(items, (i) => i.codes.cost).toFixed(2)],
    [t("在线会话", "Live sessions"), active.reduce((n, [, count]) => n + count, 0).toLocaleString(), active.map(([type, count]) => `${productName(me, Number(type))} ${count}`).join(" · ")],
  ];
  return <ul class="tiles">{tiles.map(([name, value, more]) => <li class="card" key={name}><span class="soft small">{name}</span><b>{value}</b><span class="soft small clip">{more}</span></li>)}</ul>;
}

function Plots({ items, rows }: { items: Period[]; rows: SourceRow[] }) {
  const t = useTranslate();
  const { me } = useOperator();
  const labels = items.map((item) => item.from), vendors = byVendor(items), others = t("其他", "others");
  return (
    <div class="columns even">
      <Panel title={t("从发送到回访", "From code to return")}>
        <Chart labels={labels} series={[
          { name: t("发送", "sent"), values: items.map((i) => i.codes.sent) }, { name: t("使用", "redeemed"), values: items.map((i) => i.codes.redeemed) },
          { name: t("注册", "registered"), values: items.map((i) => sum(i.registrations)) }, { name: t("次日仍在", "back after a day"), values: items.map((i) => sum(i.returned)) },
        ]} />
      </Panel>
      <Panel title={t("按来源", "By source")}><Sources rows={rows} /></Panel>
      <Panel title={t("登录，按产品", "Logins by product")}><Chart labels={labels} series={series(items, (i) => i.logins, (p) => productName(me, p.productType), others)} /></Panel>
      <Panel title={t("注册，按来源", "Registrations by source")}><Chart labels={labels} series={series(items, (i) => i.registrations, (p) => p.source || t("（无）", "(none)"), others)} /></Panel>
      <Panel title={t("转化率，按服务商与地区", "Conversion by vendor and region")}>
        <Chart labels={labels} least={100} format={(n) => `${Math.round(n)} %`} series={vendorSeries(items, vendors, (v) => (v.sent ? (100 * v.redeemed) / v.sent : null), (v) => (100 * v.redeemed) / Math.max(1, v.sent))} />
      </Panel>
      <Panel title={t("费用，按服务商与地区", "Cost by vendor and region")}>
        <Chart labels={labels} least={0.01} series={vendorSeries(items, vendors, (v) => v.cost, (v) => v.cost)} />
      </Panel>
      <Panel title={t("服务商与地区", "Vendors and regions")}><Vendors rows={vendors} /></Panel>
      <Panel title={t("会话被结束，验证码输错", "Sessions ended, wrong codes")}>
        <Chart labels={labels} series={[
          { name: t("顶下线", "displaced"), values: items.map((i) => i.displaced) }, { name: t("踢下线", "kicked"), values: items.map((i) => i.kicked) },
          { name: t("旧令牌重放", "reuse"), values: items.map((i) => i.reuse) }, { name: t("输错", "wrong codes"), values: items.map((i) => i.codes.failed) },
        ]} />
      </Panel>
    </div>
  );
}

function Table({ name, head, rows }: { name: string; head: string[]; rows: string[][] }) {
  return (
    <div class="scroll figures small" tabIndex={0} role="region" aria-label={name}>
      <table>
        <thead><tr>{head.map((text) => <th scope="col" key={text}>{text}</th>)}</tr></thead>
        <tbody>{rows.map(([first, ...rest], i) => <tr key={i}><th scope="row"><bdi>{first}</bdi></th>{rest.map((text, n) => <td key={n}>{text}</td>)}</tr>)}</tbody>
      </table>
    </div>
  );
}

const mostRows = 50; // clients choose their sources

function Sources({ rows }: { rows: SourceRow[] }) {
  const t = useTranslate();
  if (!rows.length) return <Empty>{t("这段时间没有登录。", "No logins in this span.")}</Empty>;
  return (
    <>
      <Table name={t("按来源", "By source")} head={[t("来源", "Source"), t("登录（验证码被使用）", "Logins (codes redeemed)"), t("注册", "Registered"), t("次日仍在", "Back after a day")]}
        rows={rows.slice(0, mostRows).map((row) => [row.source || t("（无）", "(none)"), row.redeemed.toLocaleString(), row.registered.toLocaleString(), row.dayOld ? `${row.returned} / ${row.dayOld} · ${share(row.returned, row.dayOld)}` : "–"])} />
      <p class="soft small">{t("请求验证码时还没有来源，所以发送只有总数。注册满一天的才知道是否回访。", "A request for a code has no source yet, so that codes sent have a total alone. Whether a user is back is known a day after the registration.")}</p>
    </>
  );
}

function Vendors({ rows }: { rows: VendorRow[] }) {
  const t = useTranslate();
  if (!rows.length) return <Empty>{t("这段时间没有短信。", "No messages in this span.")}</Empty>;
  const head = [t("服务商", "Vendor"), t("发送", "Sent"), t("送达", "Delivered"), t("失败", "Failed"), t("转化率", "Conversion"), t("费用", "Cost"), t("每次使用", "Per redeemed")];
  return (
    <Table name={t("服务商与地区", "Vendors and regions")} head={head} rows={rows.map((row) => [
      vendorName(row), row.sent.toLocaleString(), row.delivered.toLocaleString(), row.failed.toLocaleString(), share(row.redeemed, row.sent), row.cost.toFixed(2), row.redeemed ? (row.cost / row.redeemed).toFixed(4) : "–",
    ])} />
  );
}
