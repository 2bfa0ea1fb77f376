import { createContext, type ComponentChildren } from "preact";
import { useContext, useState } from "preact/hooks";
import { useTranslate } from "../lib/language";
import { curlOf, may, nothingYet, type Act, type Values } from "./acts";
import { useOperator } from "./api";
import { Dialog, download, StandsFor, Trouble } from "./parts";

/** What was just done, with its way back if there is one. */
interface Notice { text: string; undo?: Act; onDone?: () => void }
const Notices = createContext<(notice: Notice) => void>(() => {});

/** Shows what was done at the foot of the page. */
export function WithNotices({ children }: { children: ComponentChildren }) {
  const t = useTranslate();
  const { api } = useOperator();
  const [notice, setNotice] = useState<Notice | null>(null);
  const [problem, setProblem] = useState<Error | null>(null);
  const undo = async (act: Act, onDone?: () => void) => {
    try {
      const data = await api.send(act.call(nothingYet));
      setNotice({ text: act.done(data, t) });
      onDone?.();
    } catch (failed) { setProblem(failed as Error); }
  };
  return (
    <Notices.Provider value={(next) => { setProblem(null); setNotice(next); }}>
      {children}
      <div class="notice-place" role="status">
        {notice && (
          <div class="notice card">
            <span>{notice.text}</span>
            {notice.undo && <button onClick={() => void undo(notice.undo!, notice.onDone)}>{t("撤销", "Undo")}</button>}
            <button class="quiet" onClick={() => setNotice(null)} aria-label={t("关闭", "Close")}>✕</button>
            {problem && <Trouble problem={problem} />}
          </div>
        )}
      </div>
    </Notices.Provider>
  );
}

/** A button that leads to an act; it is not there for a role that may not do it. */
export function ActButton({ act, onDone, quiet, what }: { act: Act; onDone: () => void; quiet?: boolean; what?: string }) {
  const t = useTranslate();
  const { me } = useOperator();
  const [open, setOpen] = useState(false);
  if (!may(me, act)) return null;
  return (
    <>
      <button class={`${act.danger ? "danger" : ""} ${quiet ? "slim" : ""}`} data-act={act.name} onClick={() => setOpen(true)} aria-label={what ? `${act.label(t)} ${what}` : undefined}>{act.label(t)}</button>
      {open && <ActDialog act={act} onClose={() => setOpen(false)} onDone={onDone} />}
    </>
  );
}

/** What an act is as curl and as a command, the sending of its code before. */
const standsFor = (act: Act, values: Values): string[] => [
  ...(act.sends ? [curlOf(act.sends(values)), act.sendCommand!(values)] : []), curlOf(act.call(values)), act.command(values),
];

const hours: [number, string, string][] = [[0, "永久", "for good"], [1, "1 小时", "1 hour"], [24, "1 天", "1 day"], [168, "7 天", "7 days"], [720, "30 天", "30 days"]];

function ActDialog({ act, onClose, onDone }: { act: Act; onClose: () => void; onDone: () => void }) {
  const t = useTranslate();
  const { api } = useOperator();
  const notify = useContext(Notices);
  const [values, setValues] = useState<Values>(nothingYet);
  const [span, setSpan] = useState(0);
  const [busy, setBusy] = useState(false);
  const [problem, setProblem] = useState<Error | null>(null);
  const [sent, setSent] = useState("");
  const set = (more: Partial<Values>) => setValues((old) => ({ ...old, ...more }));
  const complete = act.fields.every((field) => field === "until" || values[field].trim());
  const attempt = async (work: () => Promise<void>) => {
    setBusy(true);
    setProblem(null);
    await work().catch(setProblem);
    setBusy(false);
  };
  const submit = (event: Event) => {
    event.preventDefault();
    if (!complete || busy) return;
    void attempt(async () => {
      const asked = act.call(values), data = await api.send(asked);
      if (act.name === "export") download(`menshen-${asked.path.split("/")[3]}.json`, "application/json", JSON.stringify(data, null, 2));
      notify({ text: act.done(data, t), undo: act.undo, onDone });
      onDone();
      onClose();
    });
  };
  const sendCode = () => void attempt(async () => {
    await api.send(act.sends!(values));
    setSent(t("验证码已发送到新号码。", "The code was sent to the new number."));
  });
  const until = (choice: number) => {
    setSpan(choice);
    set({ until: choice ? new Date(Date.now() + choice * 3_600_000).toISOString().replace(/\.\d+Z$/, "Z") : "" });
  };
  const presets = [t("用户来电核实", "Owner called, verified"), t("手机丢失", "Lost phone"), t("账号被盗", "Account stolen")];
  return (
    <Dialog title={act.title(t)} onClose={onClose}>
      <form onSubmit={submit}>
        <ul class="consequences">{act.consequences(t).map((line) => <li key={line}>{line}</li>)}</ul>
        {act.fields.includes("mobile") && (
          <div class="with-button">
            <label>{t("新号码", "New number")}<input value={values.mobile} inputMode="tel" autocomplete="off" onInput={(e) => set({ mobile: e.currentTarget.value })} /></label>
            <button type="button" disabled={!values.mobile.trim() || busy} onClick={sendCode}>{t("发送验证码", "Send code")}</button>
          </div>
        )}
        {sent && <p class="note" role="status">{sent}</p>}
        {act.fields.includes("validateNo") && <label>{t("新号码收到的验证码", "Code that the new number received")}<input value={values.validateNo} inputMode="numeric" autocomplete="off" onInput={(e) => set({ validateNo: e.currentTarget.value })} /></label>}
        {act.fields.includes("until") && (
          <label>{t("封禁多久", "For how long")}
            <select value={span} onChange={(e) => until(Number(e.currentTarget.value))}>{hours.map(([n, zh, en]) => <option key={n} value={n}>{t(zh, en)}</option>)}</select>
          </label>
        )}
        {act.fields.includes("reason") && (
          <>
            <label>{t("原因（记入审计）", "Reason (kept in the audit)")}
              <input name="reason" value={values.reason} maxLength={256} autocomplete="off" onInput={(e) => set({ reason: e.currentTarget.value })} />
            </label>
            <div class="presets">{presets.map((text) => <button type="button" class="slim" key={text} onClick={() => set({ reason: text })}>{text}</button>)}</div>
          </>
        )}
        <StandsFor title={t("等同的 curl 与命令", "The same by curl and command")} texts={standsFor(act, values)} />
        {problem && <Trouble problem={problem} />}
        <div class="dialog-foot">
          <button type="button" onClick={onClose}>{t("取消", "Cancel")}</button>
          <button class="main" disabled={!complete || busy}>{busy ? t("请稍候…", "Please wait…") : act.label(t)}</button>
        </div>
      </form>
    </Dialog>
  );
}
