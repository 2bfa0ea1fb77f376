import { render } from "preact";
import { useEffect, useMemo, useState } from "preact/hooks";
import icon from "../icon.svg";
import { Languages, LanguageSwitch, useTranslate } from "../lib/language";
import "../lib/base.css";
import "./console.css";
import { Api, Signed, type Operator } from "./api";
import { WithNotices } from "./ActDialog";
import { AuditPage } from "./Audit";
import { Find } from "./Find";
import { HealthPage } from "./Health";
import { MessagesPage } from "./Messages";
import { Overview } from "./Overview";
import { useRoute } from "./route";
import { forget, keep, keptKey, watchIdle } from "./session";
import { SignIn } from "./SignIn";
import { Simulator } from "./Simulator";
import type { Me } from "./types";
import { UserPage } from "./User";

function Page() {
  const { path, query } = useRoute();
  const user = /^\/users\/(\d{1,16})$/.exec(path);
  if (user) return <UserPage key={user[1]} id={Number(user[1])} />;
  switch (path) {
    case "/overview": return <Overview />;
    case "/audit": return <AuditPage key={query.toString()} query={query} />;
    case "/messages": return <MessagesPage key={query.toString()} query={query} />;
    case "/health": return <HealthPage />;
    case "/simulator": return <Simulator key={query.toString()} query={query} />;
  }
  return <Find key={query.toString()} query={query} />;
}

function Frame({ operator, onLeave }: { operator: Operator; onLeave: () => void }) {
  const t = useTranslate();
  const { path } = useRoute();
  const at = path.startsWith("/users/") ? "/find" : path;
  const links: [string, string][] = [
    ["/find", t("查找", "Find")], ["/overview", t("概览", "Overview")], ["/audit", t("审计", "Audit")],
    ["/messages", t("短信", "Messages")], ["/health", t("健康", "Health")], ["/simulator", t("模拟", "Simulate")],
  ];
  useEffect(() => { document.title = `${links.find(([to]) => to === at)?.[1] ?? ""} · 门神 menshen`; });
  useEffect(() => {
    const slash = (event: KeyboardEvent) => {
      if (event.key !== "/" || event.target instanceof HTMLInputElement || event.target instanceof HTMLSelectElement || event.ctrlKey || event.metaKey) return;
      event.preventDefault();
      const search = document.querySelector<HTMLInputElement>("#search");
      if (search) search.focus(); else location.hash = "#/find";
    };
    addEventListener("keydown", slash);
    return () => removeEventListener("keydown", slash);
  }, []);
  return (
    <Signed.Provider value={operator}>
      <header class="top">
        <a class="brand" href="#/find">
          <img src={icon} alt="" width="26" height="26" />
          <span>门神 <b>menshen</b></span>
        </a>
        <nav aria-label={t("页面", "Pages")}>
          {links.map(([to, name]) => <a key={to} href={`#${to}`} aria-current={to === at ? "page" : undefined}>{name}</a>)}
        </nav>
        <div class="who-am-i">
          <span class="soft small"><bdi>{operator.me.name}</bdi> · {operator.me.role}</span>
          <LanguageSwitch />
          <button class="quiet" onClick={onLeave}>{t("退出", "Sign out")}</button>
        </div>
      </header>
      <WithNotices><main><Page /></main></WithNotices>
    </Signed.Provider>
  );
}

/** Asks for the key first, and again once it is refused or the operator has been away. */
function Console() {
  const t = useTranslate();
  const [key, setKey] = useState(keptKey);
  const [me, setMe] = useState<Me | null>(null);
  const [why, setWhy] = useState("");
  const leave = (reason: string) => { forget(); setKey(null); setMe(null); setWhy(reason); };
  const api = useMemo(() => (key ? new Api(key, () => leave("refused")) : null), [key]);
  useEffect(() => {
    if (!api || me) return;
    api.get("/admin/me").then(setMe, () => leave("away"));
  }, [api]);
  useEffect(() => (key ? watchIdle(() => leave("idle")) : undefined), [key]);
  if (api && me) return <Frame operator={{ api, me }} onLeave={() => leave("")} />;
  if (key) return <main><p class="soft" role="status">{t("正在读取…", "Loading…")}</p></main>;
  return <SignIn why={why} onKey={(given, found) => { keep(given); setMe(found); setKey(given); setWhy(""); }} />;
}

render(<Languages><Console /></Languages>, document.body);
