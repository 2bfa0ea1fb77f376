import { useEffect, useState } from "preact/hooks";
import type { Ended } from "menshen-client/core";
import type { Translate } from "../lib/language";
import type { Side } from "./phone";

/** One sentence of what has happened, in both languages. */
export interface Line {
  id: number;
  zh: string;
  en: string;
  tone: "plain" | "good" | "bad";
}

const lines: Line[] = [];
const listeners = new Set<() => void>();
let count = 0;

export function tell(zh: string, en: string, tone: Line["tone"] = "plain"): void {
  lines.unshift({ id: ++count, zh, en, tone });
  lines.length = Math.min(lines.length, 12);
  for (const listener of listeners) listener();
}

export function useStory(): Line[] {
  const [, render] = useState(0);
  useEffect(() => {
    const listener = () => render((n) => n + 1);
    listeners.add(listener);
    return () => void listeners.delete(listener);
  }, []);
  return lines;
}

export function sideName(side: Side, t: Translate): string {
  return side === "left" ? t("左边手机", "Left phone") : t("右边手机", "Right phone");
}

/** A device's label as people read it. */
export function deviceName(label: string | null, t: Translate): string {
  if (label === "Left phone" || label === "Right phone") return sideName(label === "Left phone" ? "left" : "right", t);
  return label ?? t("另一台设备", "another device");
}

/** The state of a session in one word or two. */
export function stateName(state: string, t: Translate): string {
  const names: Record<string, [string, string]> = {
    active: ["有效", "active"], displaced: ["被顶下线", "displaced"], relogin: ["本机重新登录", "logged in anew"], logged_out: ["已退出", "logged out"],
    kicked: ["被踢下线", "kicked"], banned: ["被封禁", "banned"], reuse: ["发现令牌被盗用", "stolen pair found"], expired: ["已过期", "expired"],
  };
  const name = names[state];
  return name ? t(...name) : state;
}

/** Why a phone is logged in no more, as its owner is told. */
export function why({ reason, by }: Ended, t: Translate): string {
  switch (reason) {
    case "displaced": return t(`您的账号已在${deviceName(by, t)}登录，本机已下线。`, `Your account has logged in on: ${deviceName(by, t)}. This phone is logged out.`);
    case "logged_out": return t("您在另一台设备上退出了本机。", "You logged this phone out from another device.");
    case "kicked": return t("管理员结束了您的登录。", "An operator ended your session.");
    case "banned": return t("您的账号已被管理员封禁。", "An operator banned your account.");
    case "reuse": return t("有人使用了从本机偷走的旧令牌。为保护账号，登录已结束。", "Someone used old tokens that were stolen from this phone. To protect the account, the session ended.");
    default: return t("登录已结束，请重新登录。", "The session has ended. Please log in again.");
  }
}
