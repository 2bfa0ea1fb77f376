import { useState } from "preact/hooks";
import { useTranslate } from "../lib/language";
import { curlOf } from "./acts";
import { call, useOperator, type Call } from "./api";
import { Panel, StandsFor, Trouble } from "./parts";
import { userLink } from "./route";
import type { Session, Simulation, User } from "./types";
import { productName, reasonWord } from "./words";

interface Answer { asked: Call; simulation: Simulation; user: User }

/** What would happen if this user logged in: told by the code that decides logins. */
export function Simulator({ query }: { query: URLSearchParams }) {
  const t = useTranslate();
  const { api, me } = useOperator();
  const [result, setResult] = useState<Answer | null>(null);
  const [problem, setProblem] = useState<Error | null>(null);
  const [busy, setBusy] = useState(false);
  const submit = async (event: SubmitEvent) => {
    event.preventDefault();
    const data = new FormData(event.currentTarget as HTMLFormElement);
    const device = String(data.get("device") ?? "");
    setBusy(true);
    setProblem(null);
    try {
      const userId = Number(data.get("userId"));
      const asked = call("post", "/admin/simulate", {}, { userId, productType: Number(data.get("product")), ...(device ? { deviceNumber: device } : {}) });
      setResult({ asked, simulation: await api.send(asked), user: await api.get("/admin/users/{id}", { id: userId }) });
    } catch (failed) { setProblem(failed as Error); setResult(null); }
    setBusy(false);
  };
  return (
    <>
      <div class="page-head"><h1>{t("模拟登录", "Simulate a login")}</h1></div>
      <p class="soft lead">{t("如果这个用户现在在这个产品、这台设备上登录，会怎样？只看，不改变任何东西。", "What if this user logged in on this product and device now? It only looks, and changes nothing.")}</p>
      <form class="filters card" onSubmit={(event) => void submit(event as unknown as SubmitEvent)}>
        <label>{t("用户 id", "User id")}<input name="userId" inputMode="numeric" pattern="[0-9]{1,16}" required defaultValue={query.get("userId") ?? ""} /></label>
        <label>{t("产品", "Product")}<select name="product">{me.products.map((one) => <option key={one.type} value={one.type}>{one.name || one.type}</option>)}</select></label>
        <label>{t("设备号（可空）", "Device number (optional)")}<input name="device" autocomplete="off" maxLength={128} /></label>
        <button class="main" disabled={busy}>{t("模拟", "Simulate")}</button>
      </form>
      {problem && <Trouble problem={problem} />}
      {result && <Outcome {...result} />}
    </>
  );
}

function Outcome({ asked, simulation, user }: Answer) {
  const t = useTranslate();
  const { me } = useOperator();
  const described = (id: string) => {
    const session: Session | undefined = user.sessions.find((one) => one.id === id);
    return session ? `${productName(me, session.productType)} · ${session.deviceName || t("未知设备", "unknown device")} · ${session.ip}` : id;
  };
  const why: Record<number, string> = { 40300: t("账号被封禁", "the account is banned"), 40900: t("设备数已达上限，策略是拒绝新登录", "the device limit is reached, and the policy refuses new logins") };
  return (
    <Panel title={t("结果", "Outcome")}>
      <p role="status">{simulation.refused ? <b class="bad-text">{t("登录会被拒绝：", "The login would be refused: ")}{why[simulation.refused] ?? simulation.refused} ({simulation.refused})</b>
        : <b class="good-text">{t("登录会成功。", "The login would succeed.")}</b>}</p>
      {!simulation.refused && <p>{simulation.ends.length ? t(`它会结束 ${simulation.ends.length} 个会话：`, "It would end:") : t("没有别的会话会结束。", "No other session would end.")}</p>}
      <ul class="rows">{simulation.ends.map((end) => <li key={end.id}><span class="chip bad">{reasonWord(end.reason, t)}</span> <bdi class="grow">{described(end.id)}</bdi></li>)}</ul>
      <StandsFor title={t("等同的 curl", "The same by curl")} texts={[curlOf(asked)]} />
      <p><a href={userLink(user.id)}>{t("打开用户", "Open the user")}</a></p>
    </Panel>
  );
}
