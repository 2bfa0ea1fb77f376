import { useTranslate } from "../lib/language";
import { operate } from "./acts";
import type { Phone } from "./phone";
import { sideName, stateName, useStory } from "./story";

/** The account between the phones: its sessions as they move, and the operator's acts. */
export function Account({ phones, user, onNewNumber }: { phones: Phone[]; user: number | null; onNewNumber: () => void }) {
  const t = useTranslate();
  const story = useStory();
  const acts = [["ban", t("封禁", "Ban")], ["unban", t("解封", "Lift the ban")], ["kick", t("踢下线", "Kick")]] as const;
  return (
    <section class="account" aria-label={t("账号", "Account")}>
      <div class="card pad">
        <h2>{t("发生了什么", "What happened")}</h2>
        <div role="log" aria-label={t("发生了什么", "What happened")} class="story" tabindex={0}><ol>
          {!story.length && <li class="soft">{t("在左边手机上点“获取验证码”。", "Click “Get a code” on the left phone.")}</li>}
          {story.map(({ id, zh, en, tone }) => <li key={id} class={tone}>{t(zh, en)}</li>)}
        </ol></div>
      </div>
      <div class="card pad">
        <h2>{t("会话与代数", "Sessions and generations")}</h2>
        <p class="small soft">{t("每次刷新前进一代；只有最新一代的令牌还能继续刷新。", "Each refresh is one generation more. The newest one goes on.")}</p>
        {phones.map((phone) => <Session key={phone.side} phone={phone} />)}
      </div>
      <div class="card pad">
        <h2>{t("管理员", "Operator")}</h2>
        <div class="row">
          {acts.map(([act, label]) => (
            <button key={act} class={act === "unban" ? "" : "danger"} disabled={!user} onClick={() => void operate(user!, act)}>{label}</button>
          ))}
        </div>
      </div>
      <div class="row">
        <button onClick={onNewNumber}>{t("换个号码重新开始", "Start anew with another number")}</button>
        <a href="/dev/sms">{t("收件箱", "Inbox")}</a>
      </div>
    </section>
  );
}

const shown = 7;

function Session({ phone }: { phone: Phone }) {
  const t = useTranslate();
  const session = phone.session;
  const generation = session?.generation ?? 0;
  const first = Math.max(1, generation - shown + 1);
  return (
    <div class={"session" + (session && session.state !== "active" ? " over" : "")} data-session={phone.side} data-state={session?.state} data-generation={session?.generation}>
      <h3>{sideName(phone.side, t)} <span class={session ? (session.state === "active" ? "chip good" : "chip bad") : "chip"}>{session ? stateName(session.state, t) : t("没有会话", "no session")}</span></h3>
      {session && (
        <ol class="chain" aria-label={t(`第 ${generation} 代`, `Generation ${generation}`)}>
          {first > 1 && <li class="more" aria-hidden="true">…</li>}
          {Array.from({ length: generation - first + 1 }, (_, i) => first + i).map((n) => (
            <li key={session.id + n} class={n === generation ? "now" : ""} aria-hidden="true">{n}</li>
          ))}
        </ol>
      )}
    </div>
  );
}
