import { useCallback, useEffect, useRef, useState } from "preact/hooks";
import { useTranslate } from "../lib/language";
import { useFollow, useOperator, type Query } from "./api";
import { cell, Chip, download, Empty, More, Time, Trouble } from "./parts";
import { userLink } from "./route";
import type { AuditEvent, List } from "./types";
import { detailPairs, kindNames, kindWord, sentence, toneOf } from "./words";

/** Events, one a line. brief leaves out whom they are about. */
export function EventList({ events, brief }: { events: AuditEvent[]; brief?: boolean }) {
  const t = useTranslate();
  const { me } = useOperator();
  if (!events.length) return <Empty>{t("没有事件。", "No events.")}</Empty>;
  return (
    <ol class={brief ? "events brief" : "events"}>
      {events.map((event) => (
        <li key={event.id} data-kind={event.kind}>
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
      ))}
    </ol>
  );
}

const columns = ["id", "at", "kind", "text", "userId", "sessionId", "actor", "ip", "device", "requestId", "detail"] as const;
const mostRows = 10_000;

/** The whole audit log: filtered, endless, live, and as a file. */
export function AuditPage({ query }: { query: URLSearchParams }) {
  const t = useTranslate();
  const { api } = useOperator();
  const form = useRef<HTMLFormElement>(null);
  const [filter, setFilter] = useState<Query>({ userId: query.get("userId") ?? "", kind: query.get("kind") ?? "" });
  const [following, setFollowing] = useState(true);
  const [events, setEvents] = useState<AuditEvent[]>([]);
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
      const page = await api.get<List<AuditEvent>>("/admin/audit", { ...filter, cursor });
      if (mine !== turn.current) return;
      setEvents((old) => (cursor ? merge(old, page.items) : page.items));
      setNext(page.next);
    } catch (failed) {
      if (mine === turn.current) { setProblem(failed as Error); setNext(null); }
    }
    if (mine === turn.current) setBusy(false);
  }, [filter]);
  useEffect(() => { setEvents([]); setNext(null); void read(null); }, [read]);
  const live = useFollow(filter, following && !problem, (news) => setEvents((old) => merge([...news].reverse(), old)));

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
        const page: List<AuditEvent> = await api.get<List<AuditEvent>>("/admin/audit", { ...filter, cursor });
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
        {(events.length > 0 || !busy) && !problem ? <EventList events={events} /> : !problem && <p class="soft" role="status">{t("正在读取…", "Loading…")}</p>}
        {next && <More busy={busy} more={() => void read(next)} />}
        {!next && !busy && events.length > 0 && <p class="soft small end">{t(`共 ${events.length} 行，到此为止`, `${events.length} lines, and no more`)}</p>}
      </section>
    </>
  );
}

function merge(first: AuditEvent[], then: AuditEvent[]): AuditEvent[] {
  const known = new Set(first.map(({ id }) => id));
  return [...first, ...then.filter(({ id }) => !known.has(id))];
}
