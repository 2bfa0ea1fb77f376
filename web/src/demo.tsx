import { useEffect, useState } from "preact/hooks";
import { Account } from "./demo/Account";
import { Phone, usePhones } from "./demo/phone";
import { PhoneView } from "./demo/PhoneView";
import { deviceName, sideName, tell, useStory } from "./demo/story";
import { Traffic } from "./demo/Traffic";
import { followInbox } from "./lib/inbox";
import { useTranslate } from "./lib/language";
import { mount } from "./lib/page";
import "./demo.css";

const left = new Phone("left"), right = new Phone("right");
const phones = [left, right];
const numberKey = "menshen.demo.number";

function newNumber(): string {
  const digits = Array.from(crypto.getRandomValues(new Uint8Array(8)), (byte) => byte % 10).join("");
  return "138" + digits;
}

/** What the whole demo has seen, for the four steps on top. */
const progress = { asked: false, loggedIn: false, took: false, told: 0, began: 0, requested: 0 };

for (const [phone, other] of [[left, right], [right, left]] as const) {
  let step = phone.step;
  phone.onRequest = (path) => {
    if (path === "/auth/mobile/login") progress.requested = performance.now();
  };
  phone.subscribe(() => {
    if (phone.step === step) return;
    step = phone.step;
    const zh = sideName(phone.side, (text) => text), en = sideName(phone.side, (_, text) => text);
    if (step === "code") {
      progress.began ||= Date.now();
      progress.asked = true;
      tell(`${zh}请求了验证码。短信已到，点“填入”即可登录。`, `${en} asked for a code. The message is there: “Fill in” logs in.`);
    }
    if (step === "home") {
      progress.took ||= progress.loggedIn;
      progress.loggedIn = true;
      other.adopt(phone);
      sessionStorage.setItem("menshen.demo.user", String(phone.user!.id));
      tell(`${zh}登录成功，推送通道已打开。`, `${en} is logged in, and its push channel is open.`, "good");
    }
  });
  phone.onEnded = ({ reason, by }) => {
    const zh = sideName(phone.side, (text) => text), en = sideName(phone.side, (_, text) => text);
    if (reason !== "displaced") return;
    const after = ((performance.now() - progress.requested) / 1000 + 0.05).toFixed(1);
    progress.told ||= Date.now();
    tell(`${zh}在 ${after} 秒内收到通知：已被${deviceName(by, (text) => text)}顶下线。`, `${en} was told within ${after} s: its place was taken by the ${deviceName(by, (_, text) => text).toLowerCase()}.`, "bad");
  };
}

function Demo() {
  const t = useTranslate();
  usePhones(left, right);
  const [user, setUser] = useState(() => Number(sessionStorage.getItem("menshen.demo.user")) || null);
  const current = left.user?.id ?? right.user?.id ?? user;
  useEffect(() => {
    if (current !== user) setUser(current);
  }, [current]);
  const begin = (mobile: string) => {
    sessionStorage.setItem(numberKey, mobile);
    for (const phone of phones) phone.reset(mobile);
  };
  useEffect(() => {
    const kept = sessionStorage.getItem(numberKey);
    if (!kept) begin(newNumber());
    else for (const phone of phones) phone.set({ mobile: kept });
    const timer = setInterval(() => phones.forEach((phone) => void phone.look()), 3000);
    const leave = followInbox((sms) => void phones.some((phone) => phone.receive(sms)), () => {});
    return () => {
      leave();
      clearInterval(timer);
    };
  }, []);
  const startAnew = () => {
    sessionStorage.removeItem("menshen.demo.user");
    setUser(null);
    Object.assign(progress, { asked: false, loggedIn: false, took: false, told: 0, began: 0, requested: 0 });
    for (const phone of phones) void phone.client.logout("current").catch(() => {});
    begin(newNumber());
    tell("换了一个新号码。", "A new number.");
  };
  return (
    <>
      <h1>{t("两台手机，一个账号", "Two phones, one account")}</h1>
      <Steps />
      <div class="stage">
        <PhoneView phone={left} other={right} />
        <Account phones={phones} user={current} onNewNumber={startAnew} />
        <PhoneView phone={right} other={left} />
        <Traffic phone={left} />
        <Traffic phone={right} />
      </div>
      <Latest />
      <p class="soft small foot">{t(
        "两台手机都运行 clients/typescript 的真实客户端，访问真实接口。它们都保存着账号的设备凭证（像登录过的旧手机），所以不受陌生人的发送冷却影响。",
        "Both phones run the real client of clients/typescript on the real API. Both keep the account's device credential, as phones that were logged in before, so that the cooldown of strangers does not hold them up.",
      )}</p>
    </>
  );
}

function Steps() {
  const t = useTranslate();
  const steps: [boolean, string][] = [
    [progress.asked, t("左边获取验证码", "Get a code on the left")],
    [progress.loggedIn, t("左边登录", "Log in on the left")],
    [progress.took, t("右边登录", "Log in on the right")],
    [progress.told > 0, t("左边立刻被告知", "The left one is told")],
  ];
  const next = steps.findIndex(([done]) => !done);
  return (
    <ol class="steps">
      {steps.map(([done, label], i) => (
        <li key={i} class={done ? "done" : ""} aria-current={i === next ? "step" : undefined}>
          <span aria-hidden="true">{done ? "✓" : i + 1}</span>{label}{done && <span class="hidden">{t("（完成）", " (done)")}</span>}
        </li>
      ))}
      {next < 0 && <li class="time">{t(`用时 ${seconds()} 秒`, `in ${seconds()} seconds`)}</li>}
    </ol>
  );
}

/** The newest line of the story, for narrow screens, where the story itself is far below. */
function Latest() {
  const t = useTranslate();
  const [line] = useStory();
  return line ? <p class="latest" aria-hidden="true">{t(line.zh, line.en)}</p> : null;
}

function seconds(): number {
  return Math.max(1, Math.round((progress.told - progress.began) / 1000));
}

mount("/demo", Demo);
