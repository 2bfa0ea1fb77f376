import { mount } from "./lib/page";
import { useTranslate } from "./lib/language";
import "./index.css";

function Start() {
  const t = useTranslate();
  return (
    <>
      <div class="hero">
        <h1>{t("手机号登录，一处登录，别处即知。", "Phone login. Sign in here, and the other device knows at once.")}</h1>
        <p>
          {t("门神正在这台机器上以开发模式运行：验证码只显示在收件箱里，不会发送，也不花钱。", "menshen is running on this machine for development: codes are shown in the inbox. None is sent, and none costs money.")}
        </p>
      </div>
      <div class="doors">
        <a class="card door first" href="/demo">
          <h2>{t("演示：两台手机", "Demo: two phones")}</h2>
          <p>{t("一个账号，两台手机。右边登录，左边立刻被告知：为什么，被谁。", "One account, two phones. Log in on the right, and the left one is told at once: why, and by whom.")}</p>
          <span class="go">{t("开始演示 →", "Start the demo →")}</span>
        </a>
        <a class="card door" href="/dev/sms">
          <h2>{t("短信收件箱", "SMS inbox")}</h2>
          <p>{t("每条验证码短信实时出现，一次点击即可复制。不必翻日志。", "Each code appears as it is sent, and is copied by one click. No log to read.")}</p>
          <span class="go">{t("打开收件箱 →", "Open the inbox →")}</span>
        </a>
        <a class="card door" href="/swagger/">
          <h2>{t("接口文档", "API")}</h2>
          <p>{t("每个接口都能在浏览器里直接试用。", "Every operation can be tried in the browser.")}</p>
          <span class="go">{t("阅读接口 →", "Read the API →")}</span>
        </a>
      </div>
      <dl class="card facts">
        <dt>{t("管理接口", "Admin API")}</dt>
        <dd>{t("监听地址与密钥文件见启动时的提示；默认 ", "Its address and its key file are in the lines of the start; by default ")}<code>127.0.0.1:8081</code>{t("，密钥在 ", ", with the key in ")}<code>data/admin.key</code></dd>
        <dt>{t("这些页面", "These pages")}</dt>
        <dd>{t("只在 ", "exist in ")}<code>env: dev</code>{t(" 存在，只响应本机；生产环境没有它们。", " alone and answer this machine alone. Production has none of them.")}</dd>
        <dt>{t("下一步", "Next")}</dt>
        <dd>{t("真正发送短信：配置 ", "To really send messages, set ")}<code>sms.provider</code>{t("，见 config.yaml。", "; config.yaml explains it.")}</dd>
      </dl>
    </>
  );
}

mount("/", Start);
