import { render, type ComponentChildren } from "preact";
import icon from "../icon.svg";
import { Languages, LanguageSwitch, useTranslate } from "./language";
import "./base.css";

/** The frame of every page: where one is, and where one can go. */
function Frame({ at, children }: { at: string; children: ComponentChildren }) {
  const t = useTranslate();
  const links: [string, string][] = [
    ["/", t("首页", "Start")], ["/demo", t("演示", "Demo")], ["/dev/sms", t("收件箱", "Inbox")], ["/swagger/", t("接口", "API")],
  ];
  return (
    <>
      <header class="top">
        <a class="brand" href="/">
          <img src={icon} alt="" width="28" height="28" />
          <span>门神 <b>menshen</b></span>
        </a>
        <nav aria-label={t("页面", "Pages")}>
          {links.map(([path, name]) => (
            <a key={path} href={path} aria-current={path === at ? "page" : undefined}>{name}</a>
          ))}
        </nav>
        <LanguageSwitch />
      </header>
      <main>{children}</main>
    </>
  );
}

export function mount(at: string, Page: () => ComponentChildren) {
  render(<Languages><Frame at={at}><Page /></Frame></Languages>, document.body);
}
