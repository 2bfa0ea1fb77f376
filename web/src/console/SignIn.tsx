import { useEffect, useRef, useState } from "preact/hooks";
import icon from "../icon.svg";
import { LanguageSwitch, useTranslate } from "../lib/language";
import { Api, Problem } from "./api";
import type { Me } from "./types";

export function SignIn({ why, onKey }: { why: string; onKey: (key: string, me: Me) => void }) {
  const t = useTranslate();
  const field = useRef<HTMLInputElement>(null);
  const [busy, setBusy] = useState(false);
  const [trouble, setTrouble] = useState("");
  const reasons: Record<string, string> = {
    idle: t("30 分钟没有操作，密钥已从本页移除。", "Nothing was done for 30 minutes, so the key is gone from this page."),
    refused: t("密钥不再有效。", "The key is no longer valid."),
    away: t("无法确认密钥，请重新登录。", "The key could not be checked. Please sign in again."),
  };
  useEffect(() => {
    document.title = t("登录 · 门神 menshen", "Sign in · menshen");
    field.current?.focus();
  }, []);
  const submit = async (event: Event) => {
    event.preventDefault();
    const key = field.current?.value.trim() ?? "";
    if (!key || busy) return;
    setBusy(true);
    setTrouble("");
    try {
      if (!/^[\x21-\x7e]+$/.test(key)) throw new Problem(40100, "");
      onKey(key, await new Api(key).get("/admin/me"));
    } catch (problem) {
      setTrouble(!(problem instanceof Problem) ? t("服务没有应答。", "The service does not answer.")
        : problem.code === 40100 ? t("密钥不正确。", "This key is not right.") : `${problem.message} (${problem.code})`);
      field.current?.select();
      setBusy(false);
    }
  };
  return (
    <main class="sign-in">
      <form class="card" onSubmit={(event) => void submit(event)}>
        <div class="sign-in-head">
          <span class="brand"><img src={icon} alt="" width="28" height="28" /><span>门神 <b>menshen</b></span></span>
          <LanguageSwitch />
        </div>
        <h1>{t("控制台", "Console")}</h1>
        {why && !trouble && <p class="note" role="status">{reasons[why]}</p>}
        <label for="key">{t("管理密钥", "Admin key")}</label>
        <input id="key" ref={field} type="password" autocomplete="off" spellcheck={false} autocapitalize="none" aria-describedby="key-help" aria-invalid={!!trouble} />
        <p class="refusal" role="alert">{trouble}</p>
        <button class="main" disabled={busy}>{busy ? t("正在确认…", "Checking…") : t("登录", "Sign in")}</button>
        <p class="soft small" id="key-help">
          {t("配置项 admin.keys 中的密钥；开发环境见 data/admin.key。密钥只留在这个标签页，30 分钟不用即移除。",
            "A key of admin.keys; in development the one in data/admin.key. It stays in this tab alone, and goes after 30 minutes without use.")}
        </p>
      </form>
    </main>
  );
}
