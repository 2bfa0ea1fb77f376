import type { ComponentChildren } from "preact";
import { useEffect, useRef, useState } from "preact/hooks";
import { Copy } from "../lib/copy";
import { useTranslate } from "../lib/language";
import { Problem, type Loaded } from "./api";

/** The time as people read it, in full on hover. */
export function Time({ at }: { at: string | null | undefined }) {
  const t = useTranslate();
  if (!at) return <span class="soft">–</span>;
  const date = new Date(at), now = new Date();
  const locale = t("zh-CN", "en-GB");
  const clock = date.toLocaleTimeString(locale, { hour: "2-digit", minute: "2-digit", second: "2-digit" });
  const day = date.toLocaleDateString(locale, { year: date.getFullYear() === now.getFullYear() ? undefined : "numeric", month: "2-digit", day: "2-digit" });
  return <time dateTime={at} title={date.toLocaleString(locale, { timeZoneName: "short" })}>{date.toDateString() === now.toDateString() ? clock : `${day} ${clock.slice(0, 5)}`}</time>;
}

/** How long ago, or how far ahead. */
export function useAgo() {
  const t = useTranslate();
  return (at: string) => {
    const seconds = (Date.parse(at) - Date.now()) / 1000;
    const words = new Intl.RelativeTimeFormat(t("zh-CN", "en"), { numeric: "auto" });
    for (const [unit, size] of [["day", 86400], ["hour", 3600], ["minute", 60]] as const)
      if (Math.abs(seconds) >= size) return words.format(Math.trunc(seconds / size), unit);
    return words.format(Math.trunc(seconds), "second");
  };
}

/** What went wrong, and how to ask again. */
export function Trouble({ problem, retry }: { problem: Error; retry?: () => void }) {
  const t = useTranslate();
  if (problem instanceof Problem && problem.code === 40400) return <p class="soft">{t("此处不可用。", "Not available here.")}</p>;
  const known = problem instanceof Problem;
  return (
    <div class="trouble" role="alert">
      <p>
        {known ? problem.message : t("服务没有应答。", "The service does not answer.")}
        {known && <span class="soft small"> {problem.code}{problem.fields.map(({ field, reason }) => ` · ${field}: ${reason}`)}</span>}
      </p>
      {retry && <button onClick={retry}>{t("重试", "Try again")}</button>}
    </div>
  );
}

/** Shows what is loaded, or why it is not. */
export function Show<T>({ of, children }: { of: Loaded<T>; children: (data: T) => ComponentChildren }) {
  const t = useTranslate();
  return (
    <>
      {of.problem && <Trouble problem={of.problem} retry={of.reload} />}
      {of.data !== undefined ? children(of.data) : of.busy && <p class="soft" role="status">{t("正在读取…", "Loading…")}</p>}
    </>
  );
}

export function Panel({ title, side, children, id }: { title: string; side?: ComponentChildren; children: ComponentChildren; id?: string }) {
  return (
    <section class="card panel" id={id} aria-label={title}>
      <div class="panel-head"><h2>{title}</h2>{side}</div>
      {children}
    </section>
  );
}

export const Chip = ({ tone, children }: { tone?: string; children: ComponentChildren }) => <span class={`chip ${tone ?? ""}`}>{children}</span>;

export function Empty({ children }: { children: ComponentChildren }) { return <p class="soft empty-line">{children}</p>; }

/** Calls more when it comes into sight. */
export function More({ more, busy }: { more: () => void; busy: boolean }) {
  const t = useTranslate();
  const mark = useRef<HTMLButtonElement>(null);
  useEffect(() => {
    const watch = new IntersectionObserver((entries) => { if (entries.some((e) => e.isIntersecting)) more(); }, { rootMargin: "600px" });
    if (mark.current && !busy) watch.observe(mark.current);
    return () => watch.disconnect();
  }, [more, busy]);
  return <button class="quiet more" ref={mark} disabled={busy} onClick={more}>{busy ? t("正在读取…", "Loading…") : t("更多", "More")}</button>;
}

/** A modal dialog that is open as long as it is mounted. */
export function Dialog({ title, onClose, children }: { title: string; onClose: () => void; children: ComponentChildren }) {
  const dialog = useRef<HTMLDialogElement>(null);
  useEffect(() => {
    dialog.current?.showModal();
  }, []);
  return (
    <dialog ref={dialog} class="card" aria-label={title} onClose={onClose} onCancel={onClose}>
      <h2>{title}</h2>
      {children}
    </dialog>
  );
}

/** What an act is on a shell, to be copied. */
export function StandsFor({ title, texts }: { title: string; texts: string[] }) {
  const t = useTranslate();
  return (
    <details class="stands-for">
      <summary>{title}</summary>
      {texts.map((text, i) => <div class="code-line" key={i}><pre tabIndex={0}>{text}</pre><Copy text={text} what={text.startsWith("curl") ? "curl" : t("命令", "the command")} /></div>)}
    </details>
  );
}

/** Writes a file that the browser keeps. */
export function download(name: string, type: string, text: string) {
  const link = document.createElement("a");
  link.href = URL.createObjectURL(new Blob([text], { type }));
  link.download = name;
  link.click();
  setTimeout(() => URL.revokeObjectURL(link.href), 10_000);
}

/** A value for CSV. A spreadsheet must not take it for a formula. */
export function cell(value: unknown): string {
  let text = value === null || value === undefined ? "" : typeof value === "object" ? JSON.stringify(value) : String(value);
  if (/^[=+\-@\t\r]/.test(text)) text = "'" + text;
  return `"${text.replaceAll('"', '""')}"`;
}

export function useTick(every: number) {
  const [, tick] = useState(0);
  useEffect(() => {
    const timer = setInterval(() => tick((n) => n + 1), every);
    return () => clearInterval(timer);
  }, [every]);
}
