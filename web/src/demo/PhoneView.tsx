import { useEffect, useState } from "preact/hooks";
import { spoken } from "../lib/inbox";
import { useTranslate } from "../lib/language";
import { guess, logoutOthers, loseAnswer, refresh, stealPair, twoTabs } from "./acts";
import type { Phone } from "./phone";
import { sideName, why } from "./story";

/** The seconds until a time, counted down. */
function useSecondsTo(time: number): number {
  const [now, setNow] = useState(Date.now);
  useEffect(() => {
    setNow(Date.now());
    const timer = setInterval(() => setNow(Date.now()), 500);
    return () => clearInterval(timer);
  }, [time]);
  return Math.max(0, Math.ceil((time - now) / 1000));
}

export function PhoneView({ phone, other }: { phone: Phone; other: Phone }) {
  const t = useTranslate();
  const name = sideName(phone.side, t);
  return (
    <section class="phone" data-step={phone.step} data-side={phone.side} aria-label={name}>
      <div class="speaker" aria-hidden="true" />
      <h2 class="phone-name">{name}</h2>
      <div class="screen">
        {phone.message && phone.step !== "home" && <Notification phone={phone} />}
        {phone.step === "home" ? <Home phone={phone} other={other} /> : <LoginForm phone={phone} />}
        <p class="refusal" role="alert">{phone.error}</p>
      </div>
    </section>
  );
}

function Notification({ phone }: { phone: Phone }) {
  const t = useTranslate();
  const { text, code, language, id } = phone.message!;
  return (
    <div class="notification" key={id} role="status">
      <p class="small"><b>{t("短信", "Messages")}</b> <span class="soft">{t("现在", "now")}</span></p>
      <p lang={language}>{text}</p>
      <button class="fill" disabled={phone.busy} onClick={() => void phone.login(code)}>{t(`填入 ${code} 并登录`, `Fill in ${code} and log in`)}</button>
    </div>
  );
}

function LoginForm({ phone }: { phone: Phone }) {
  const t = useTranslate();
  const [code, setCode] = useState("");
  const seconds = useSecondsTo(phone.resendAt);
  const asked = phone.step === "code";
  useEffect(() => setCode(""), [phone.message, phone.step]);
  return (
    <form class="login" onSubmit={(event) => {
      event.preventDefault();
      void phone.login(code);
    }}>
      {phone.ended && (
        <div class="farewell" role="alert">
          <span class="sign" aria-hidden="true">!</span>
          <p><b>{why(phone.ended, t)}</b></p>
          {phone.ended.lastLoginTime && <p class="small soft">{t("最近登录", "Newest login")} {new Date(phone.ended.lastLoginTime).toLocaleTimeString()}</p>}
        </div>
      )}
      <fieldset class="product">
        <legend class="small soft">{t("登录的产品：同一产品内互踢，不同产品互不影响", "Product: a login displaces within its own product alone")}</legend>
        {[t("手机应用", "App"), t("电脑", "PC")].map((label, type) => (
          <label key={type} class={phone.product === type ? "on" : ""}>
            <input type="radio" name={"product-" + phone.side} checked={phone.product === type} onChange={() => phone.set({ product: type })} />{label}
          </label>
        ))}
      </fieldset>
      <p class="mobile"><span class="small soft">{t("手机号", "Mobile number")}</span><b>{spoken("+86" + phone.mobile)}</b></p>
      <button type="button" class={asked ? "" : "main"} disabled={phone.busy || seconds > 0} onClick={() => void phone.sendCode()}>
        {seconds > 0 ? t(`${seconds} 秒后可重新获取`, `Again in ${seconds} s`) : t("获取验证码", "Get a code")}
      </button>
      {asked && (
        <>
          <label class="field">
            <span class="small soft">{t("验证码", "Code")}</span>
            <input inputMode="numeric" autocomplete="one-time-code" maxLength={10} value={code} onInput={(event) => setCode(event.currentTarget.value)} />
          </label>
          <button class="main" disabled={phone.busy || !code}>{t("登录", "Log in")}</button>
          <button type="button" class="act" disabled={phone.busy} onClick={() => void guess(phone)}>
            <b>{t("陌生人猜码", "A stranger guesses")}</b>
            <span>{t("用光尝试次数，看这台手机是否还能登录", "uses up the attempts: can this phone still log in?")}</span>
          </button>
        </>
      )}
    </form>
  );
}

function Home({ phone, other }: { phone: Phone; other: Phone }) {
  const t = useTranslate();
  const [count, setCount] = useState(0);
  const acts: { label: string; note: string; run: () => unknown; off?: boolean }[] = [
    { label: t("刷新令牌", "Refresh"), note: t("换一个新的访问令牌", "gets a new access token"), run: () => refresh(phone) },
    { label: t("丢失响应", "Lost answer"), note: t("响应丢了，用同一对令牌再问", "the answer is lost; it asks again with the same pair"), run: () => loseAnswer(phone) },
    { label: t("两个标签页同时刷新", "Two tabs refresh at once"), note: t("不加锁也得到同一个令牌", "without a lock, to one token"), run: () => twoTabs(phone) },
    {
      label: count ? t(`小偷等待中… ${count} 秒`, `The thief waits… ${count} s`) : t("重放被盗的令牌对", "Replay a stolen pair"), off: count > 0,
      note: t("小偷稍后使用复制的令牌", "a thief uses a copy, later"), run: () => stealPair(phone, setCount),
    },
    { label: t("退出其他设备", "Log out the others"), note: t("只保留这台", "only this one stays"), run: () => logoutOthers(phone, other) },
    { label: t("退出登录", "Log out"), note: t("结束这台的会话", "ends this session"), run: () => phone.logout("current") },
  ];
  return (
    <div class="inside">
      <div class="who">
        <span class="avatar" aria-hidden="true">{[...(phone.user?.nickName ?? "?")][0]}</span>
        <div>
          <p><b>{phone.user?.nickName}</b></p>
          <p class="small soft">{phone.user?.mobile && spoken("+86" + phone.user.mobile)}</p>
        </div>
        <span class="chip good">{t("已登录", "logged in")}</span>
      </div>
      <div class="acts">
        {acts.map(({ label, note, run, off }) => (
          <button key={note} class="act" disabled={phone.busy || off} onClick={() => void run()}>
            <b>{label}</b>
            <span>{note}</span>
          </button>
        ))}
      </div>
    </div>
  );
}
