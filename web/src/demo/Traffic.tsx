import { useTranslate, type Translate } from "../lib/language";
import type { Actor, Exchange, Phone } from "./phone";
import { sideName } from "./story";

/** What a phone sends, and what comes back, newest first. */
export function Traffic({ phone }: { phone: Phone }) {
  const t = useTranslate();
  return (
    <section class="traffic card" aria-label={t(`${sideName(phone.side, t)}的请求`, `Requests of the ${sideName(phone.side, t)}`)}>
      <h3>{t("请求与响应", "Requests and answers")}</h3>
      {!phone.exchanges.length && <p class="soft small">{t("还没有请求。", "None yet.")}</p>}
      <ol>
        {phone.exchanges.map((exchange) => <Entry key={exchange.id} exchange={exchange} />)}
      </ol>
    </section>
  );
}

function Entry({ exchange }: { exchange: Exchange }) {
  const t = useTranslate();
  const { actor, method, path, request, answer, code, status, lost } = exchange;
  const stream = path === "/app/auth/events";
  return (
    <li>
      <details>
        <summary>
          {actor !== "phone" && <span class="chip bad">{actorName(actor, t)}</span>}
          <span class="mono">{method} {path}</span>
          <Verdict open={status === null} stream={stream} told={stream && answer !== null} code={code} status={status} />
          {lost && <span class="chip bad">{t("响应丢失", "answer lost")}</span>}
        </summary>
        {request !== null && <pre tabindex={0}>{pretty(request)}</pre>}
        {answer !== null && <pre tabindex={0}>{pretty(answer)}</pre>}
      </details>
    </li>
  );
}

function Verdict({ open, stream, told, code, status }: { open: boolean; stream: boolean; told: boolean; code: number | null; status: number | null }) {
  const t = useTranslate();
  if (stream && told) return <span class="chip bad">{t("推送：会话结束", "push: session ended")}</span>;
  if (open) return <span class="chip">{stream ? t("推送通道已打开", "push open") : "…"}</span>;
  if (stream) return <span class="chip">{t("通道关闭", "closed")}</span>;
  if (code === null) return <span class="chip bad">{status || t("无响应", "no answer")}</span>;
  return <span class={code === 0 ? "chip good" : "chip bad"}>{code === 0 ? "0 OK" : code}</span>;
}

function actorName(actor: Actor, t: Translate): string {
  switch (actor) {
    case "tab": return t("第二个标签页", "second tab");
    case "thief": return t("小偷", "thief");
    case "stranger": return t("陌生人", "stranger");
    default: return "";
  }
}

/** JSON with its tokens cut short. */
function pretty(value: unknown): string {
  return JSON.stringify(value, (_, member: unknown) => (typeof member === "string" && member.length > 48 ? member.slice(0, 14) + "…" + member.slice(-6) : member), 2);
}
