import { useCallback, useEffect, useRef, useState } from "preact/hooks";
import { useTranslate } from "../lib/language";
import { useOperator, type Query } from "./api";
import { Chip, Empty, More, Time, Trouble } from "./parts";
import { userLink } from "./route";
import type { Message } from "./types";
import { messageSentence, productName, purposeWord, stateNames, stateTone, stateWord } from "./words";

/** Messages, one a line, each with what is known of it in words. */
export function MessageList({ messages, whose }: { messages: Message[]; whose?: boolean }) {
  const t = useTranslate();
  const { me } = useOperator();
  if (!messages.length) return <Empty>{t("没有短信。", "No messages.")}</Empty>;
  return (
    <ol class="events">
      {messages.map((message) => (
        <li key={message.id} data-state={message.state}>
          <span class="when"><Time at={message.at} /></span>
          <Chip tone={stateTone(message.state)}>{stateWord(message.state, t)}</Chip>
          <div class="what">
            <span>{messageSentence(message, t)}</span>
            {message.redeemedAt && <span class="pair good">{t("验证码已使用", "code used")} <Time at={message.redeemedAt} /></span>}
            <p class="soft small">
              {whose && message.mobile && <>{message.mobile} · </>}
              {whose && message.userId && <><a href={userLink(message.userId)}>{t("用户 ", "user ")}{message.userId}</a> · </>}
              {message.provider} · {purposeWord(message.purpose, t)} · {productName(me, message.productType)}
              {message.reason && <> · <bdi>{message.reason}</bdi></>}
              {message.reportedAt && <> · {t("回执 ", "receipt ")}<Time at={message.reportedAt} /></>}
              {message.messageId && <> · <bdi class="mono">{message.messageId}</bdi></>}
            </p>
          </div>
        </li>
      ))}
    </ol>
  );
}

export function MessagesPage({ query }: { query: URLSearchParams }) {
  const t = useTranslate();
  const { api } = useOperator();
  const form = useRef<HTMLFormElement>(null);
  const [filter, setFilter] = useState<Query>({ userId: query.get("userId") ?? "" });
  const [messages, setMessages] = useState<Message[]>([]);
  const [next, setNext] = useState<string | null>(null);
  const [busy, setBusy] = useState(true);
  const [problem, setProblem] = useState<Error | null>(null);
  const read = useCallback(async (cursor: string | null) => {
    setBusy(true);
    setProblem(null);
    try {
      const page = await api.get("/admin/messages", { ...filter, cursor });
      setMessages((old) => (cursor ? [...old, ...page.items] : page.items));
      setNext(page.next);
    } catch (failed) { setProblem(failed as Error); setNext(null); }
    setBusy(false);
  }, [filter]);
  useEffect(() => { setMessages([]); setNext(null); void read(null); }, [read]);
  const apply = (event: Event) => {
    event.preventDefault();
    const data = new FormData(form.current!);
    setFilter(Object.fromEntries(["mobile", "userId", "provider", "state"].map((name) => [name, String(data.get(name) ?? "").trim()])));
  };
  return (
    <>
      <div class="page-head"><h1>{t("短信", "Messages")}</h1></div>
      <form class="filters card" ref={form} onSubmit={apply}>
        <label>{t("手机号", "Number")}<input name="mobile" inputMode="tel" autocomplete="off" /></label>
        <label>{t("用户 id", "User id")}<input name="userId" inputMode="numeric" defaultValue={String(filter.userId)} /></label>
        <label>{t("服务商", "Provider")}
          <select name="provider"><option value="">{t("全部", "all")}</option>{["aliyun", "tencent", "twilio", "webhook", "log"].map((name) => <option key={name}>{name}</option>)}</select>
        </label>
        <label>{t("状态", "State")}
          <select name="state"><option value="">{t("全部", "all")}</option>{stateNames.map((state) => <option key={state} value={state}>{stateWord(state, t)}</option>)}</select>
        </label>
        <button class="main">{t("筛选", "Filter")}</button>
      </form>
      {problem && <Trouble problem={problem} retry={() => void read(null)} />}
      {!problem && (
        <section class="card panel" aria-label={t("短信", "Messages")} aria-busy={busy}>
          {messages.length > 0 || !busy ? <MessageList messages={messages} whose /> : <p class="soft" role="status">{t("正在读取…", "Loading…")}</p>}
          {next && <More busy={busy} more={() => void read(next)} />}
        </section>
      )}
    </>
  );
}
