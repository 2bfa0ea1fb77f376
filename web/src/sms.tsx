import { useState } from "preact/hooks";
import { Copy } from "./lib/copy";
import { spoken, useInbox, type Sms } from "./lib/inbox";
import { useTranslate, type Translate } from "./lib/language";
import { mount } from "./lib/page";
import "./sms.css";

function purposeOf(sms: Sms, t: Translate): string {
  switch (sms.purpose) {
    case "change": return t("换号", "change of number");
    case "delete": return t("注销", "deletion");
    default: return t("登录", "login");
  }
}

function Message({ sms, number }: { sms: Sms; number: boolean }) {
  const t = useTranslate();
  return (
    <article class="sms">
      <header>
        {number && <>{spoken(sms.mobile)} · </>}
        <time dateTime={sms.at}>{new Date(sms.at).toLocaleTimeString(sms.language)}</time> · {purposeOf(sms, t)} · {t("公司", "company")} {sms.companyType} · {t("产品", "product")} {sms.productType}
      </header>
      <p class="bubble" lang={sms.language}>{sms.text}</p>
      <div class="line">
        <span class="code">{sms.code}</span>
        <Copy text={sms.code} what={t("验证码", "the code")} />
      </div>
    </article>
  );
}

function Inbox() {
  const t = useTranslate();
  const { messages, live } = useInbox();
  const [chosen, choose] = useState<string | null>(null);
  const numbers = [...new Set(messages.map(({ mobile }) => mobile))];
  const shown = messages.filter(({ mobile }) => !chosen || mobile === chosen);
  return (
    <>
      <div class="inbox-head">
        <h1>{t("收件箱", "Inbox")}</h1>
        <span class={live ? "chip good" : "chip"} role="status">{live ? t("● 实时", "● live") : t("正在连接…", "connecting…")}</span>
        <p class="soft small">{t("log 服务商的短信，只在内存中，最多 200 条", "Messages of the provider log, in memory, 200 at most")}</p>
      </div>
      <div class="card inbox">
        <div class="numbers" role="group" aria-label={t("号码", "Numbers")}>
          <button aria-pressed={!chosen} onClick={() => choose(null)}>
            <span>{t("全部号码", "All numbers")}</span><span class="soft">{messages.length}</span>
          </button>
          {numbers.map((mobile) => {
            const own = messages.filter((sms) => sms.mobile === mobile);
            return (
              <button key={mobile} aria-pressed={chosen === mobile} onClick={() => choose(mobile)}>
                <span>{spoken(mobile)}</span><span class="soft">{own.length}</span>
                <span class="last">{own[0]?.text}</span>
              </button>
            );
          })}
        </div>
        <div class="talk" role="log" aria-label={t("短信", "Messages")}>
          {shown.map((sms) => <Message key={sms.id} sms={sms} number={!chosen} />)}
          {!shown.length && (
            <div class="empty">
              <p>{t("还没有短信。", "No message yet.")}</p>
              <p><a href="/demo">{t("在演示中获取一个验证码", "Ask for a code in the demo")}</a>{t("，它会立刻出现在这里。", ", and it appears here at once.")}</p>
            </div>
          )}
        </div>
      </div>
    </>
  );
}

mount("/dev/sms", Inbox);
