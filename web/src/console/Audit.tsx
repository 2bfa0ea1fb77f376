import { useCallback, useEffect, useMemo, useRef, useState } from "preact/hooks";
import { useTranslate } from "../lib/language";
import { useFollow, useOperator, type Query } from "./api";
import { cell, Chip, download, Empty, More, Time, Trouble } from "./parts";
import { userLink } from "./route";
import type { AuditEvent, List } from "./types";
import { detailPairs, kindNames, kindWord, sentence, toneOf } from "./words";

/** Events, one a line. brief leaves out whom they are about. */
export function EventList({ events, brief }: { events: AuditEvent[]; brief?: boolean }) {
  const t = useTranslate();
  if (!events.length) return <Empty>{t("没有事件。", "No events.")}</Empty>;
  return <ol class={brief ? "events brief" : "events"}>{events.map((event) => <EventLine key={event.id} event={event} brief={brief} />)}</ol>;
}

const nearby = "1500px";

/** A part of an endless list. Far from what is seen it is a gap of its height, without its lines. */
function Part({ events }: { events: AuditEvent[] }) {
  const place = useRef<HTMLDivElement>(null);
  const [gap, setGap] = useState(0);
  useEffect(() => {
    const watch = new IntersectionObserver((entries) => {
      setGap(entries[entries.length - 1].isIntersecting ? 0 : place.current!.offsetHeight);
    }, { rootMargin: nearby });
    watch.observe(place.current!);
    return () => watch.disconnect();
  }, []);
  const lines = useMemo(() => (gap ? null : <EventList events={events} />), [events, !gap]);
  return <div ref={place} class="part" style={{ height: gap ? `${gap}px` : "" }}>{lines}</div>;
}

function EventLine({ event, brief }: { event: AuditEvent; brief?: boolean }) {
  const t = useTranslate();
  const { me } = useOperator();
  return (
    <li data-kind={event.kind}>
      <span class="when"><Time at={event.at} /></span>
      <Chip tone={toneOf(event.kind)}>{kindWord(event.kind, t)}</Chip>
      <div class="what">
        <span>{sentence(event.text, t)}</span>
        {detailPairs(event, me, t).map(([name, value]) => <span class="pair" key={name}><span class="soft">{name}</span> <bdi>{value}</bdi></span>)}
        <p class="soft small">
          {event.actor && <bdi>{event.actor}</bdi>}{event.ip && <> · {event.ip}</>}{event.device && <> · <bdi>{event.device}</bdi></>}
          {!brief && event.userId && <> · <a href={userLink(event.userId)}>{t("用户 ", "user ")}{event.userId}</a></>}
          {event.sessionId && <> · <span class="mono" title={event.sessionId}>{event.sessionId.slice(0, 8)}</span></>}
        </p>
      </div>
    </li>
  );
}

const columns = ["id", "at", "kind", "text", "userId", "sessionId", "actor", "ip", "device", "requestId", "detail"] as const;
const mostRows = 10_000;
const morePages = 4; // are read at once when the end comes into sight

/** The whole audit log: filtered, endless, live, and as a file. */
export function AuditPage({ query }: { query: URLSearchParams }) {
  const t = useTranslate();
  const { api } = useOperator();
  const form = useRef<HTMLFormElement>(null);
  const [filter, setFilter] = useState<Query>({ userId: query.get("userId") ?? "", kind: query.get("kind") ?? "" });
  const [following, setFollowing] = useState(true);
  const [parts, setParts] = useState<AuditEvent[][]>([]);
  const [next, setNext] = useState<string | null>(null);
  const [busy, setBusy] = useState(true);
  const [problem, setProblem] = useState<Error | null>(null);
  const [writing, setWriting] = useState("");
  const turn = useRef(0);

  const read = useCallback(async (cursor: string | null) => {
    const mine = cursor ? turn.current : ++turn.current;
    setBusy(true);
    setProblem(null);
    try {
      const items: AuditEvent[] = [];
      for (let at = cursor, pages = cursor ? morePages : 1; pages > 0; pages--) {
        const page: List<AuditEvent> = await api.get("/admin/audit", { ...filter, cursor: at });
        if (mine !== turn.current) return;
        items.push(...page.items);
        at = page.next;
        if (!at || pages === 1) setNext(at);
        if (!at) break;
      }
      if (items.length || !cursor) setParts((old) => (cursor ? [...old, items] : [items]));
    } catch (failed) {
      if (mine === turn.current) { setProblem(failed as Error); setNext(null); }
    }
    if (mine === turn.current) setBusy(false);
  }, [filter]);
  useEffect(() => { setParts([]); setNext(null); void read(null); }, [read]);
  const live = useFollow(filter, following && !problem, (news) => setParts((old) => withNews(news, old)));
  const count = parts.reduce((n, { length }) => n + length, 0);

  const apply = (event: Event) => {
    event.preventDefault();
    const data = new FormData(form.current!);
    const time = (name: string) => { const text = String(data.get(name) ?? ""); return text ? new Date(text).toISOString().replace(/\.\d+Z$/, "Z") : ""; };
    setFilter({ userId: String(data.get("userId") ?? "").trim(), kind: String(data.get("kind")), actor: String(data.get("actor") ?? "").trim(), from: time("from"), to: time("to") });
  };

  const write = async () => {
    const rows: AuditEvent[] = [];
    let cursor: string | null = null;
    try {
      do {
        const page: List<AuditEvent> = await api.get("/admin/audit", { ...filter, cursor });
        rows.push(...page.items);
        cursor = page.next;
        setWriting(t(`已读 ${rows.length} 行…`, `${rows.length} lines…`));
      } while (cursor && rows.length < mostRows);
      const lines = rows.map((row) => columns.map((name) => cell(name === "text" ? sentence(row.text, t) : row[name])).join(","));
      download("menshen-audit.csv", "text/csv", "\ufeff" + [columns.join(","), ...lines].join("\r\n") + "\r\n");
    } catch (failed) { setProblem(failed as Error); }
    setWriting("");
  };

  return (
    <>
      <div class="page-head">
        <h1>{t("审计", "Audit")}</h1>
        <label class="tick"><input type="checkbox" checked={following} onChange={(e) => setFollowing(e.currentTarget.checked)} />
          <span class={live ? "chip good" : "chip"}>{live ? t("● 实时", "● live") : t("○ 不实时", "○ not live")}</span></label>
        <button disabled={!!writing} onClick={() => void write()}>{writing || t("下载 CSV", "Download CSV")}</button>
      </div>
      <form class="filters card" ref={form} onSubmit={apply}>
        <label>{t("用户 id", "User id")}<input name="userId" inputMode="numeric" defaultValue={String(filter.userId)} /></label>
        <label>{t("类型", "Kind")}
          <select name="kind" defaultValue={String(filter.kind)}>
            <option value="">{t("全部", "all")}</option>
            {kindNames.map((kind) => <option key={kind} value={kind} selected={kind === filter.kind}>{kindWord(kind, t)}</option>)}
          </select>
        </label>
        <label>{t("操作者", "Actor")}<input name="actor" autocomplete="off" /></label>
        <label>{t("从", "From")}<input name="from" type="datetime-local" /></label>
        <label>{t("到", "Until")}<input name="to" type="datetime-local" /></label>
        <button class="main">{t("筛选", "Filter")}</button>
      </form>
      {problem && <Trouble problem={problem} retry={() => void read(null)} />}
      <section class="card panel" aria-label={t("事件", "Events")} aria-busy={busy}>
        {(count > 0 || !busy) && !problem ? (count ? parts.map((part) => <Part key={part[part.length - 1].id} events={part} />) : <EventList events={[]} />) : !problem && <p class="soft" role="status">{t("正在读取…", "Loading…")}</p>}
        {next && <More busy={busy} more={() => void read(next)} />}
        {!next && !busy && count > 0 && <p class="soft small end">{t(`共 ${count} 行，到此为止`, `${count} lines, and no more`)}</p>}
      </section>
    </>
  );
}

const longest = 100; // lines of a part

/** Puts new lines, oldest first, before the others. What is known already, from a page, is left out. */
function withNews(news: AuditEvent[], parts: AuditEvent[][]): AuditEvent[][] {
  const [head = [], ...rest] = parts;
  const newest = head[0]?.id ?? 0;
  const fresh = news.filter(({ id }) => id > newest).reverse();
  if (!fresh.length) return parts;
  return head.length < longest ? [[...fresh, ...head], ...rest] : [fresh, ...parts];
}
