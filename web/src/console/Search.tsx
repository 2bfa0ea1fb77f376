import { useEffect, useRef, useState } from "preact/hooks";
import { useTranslate } from "../lib/language";
import { Problem, useOperator, type Api } from "./api";
import { userLink } from "./route";
import type { List, ListedUser, Locks } from "./types";

/** What was looked for and found. The number stays in the page's memory: no URL has it. */
export interface Found { text: string; users: ListedUser[]; number?: { mobile: string; locks: Locks }; problem?: Error }

// What people type between the digits of a number; the service decides what a number is.
const between = /[\s\p{Cf}().（）·.-]/gu;

/** Looks for a number in any spelling, an id, and an id of the company's own system. */
export async function find(api: Api, text: string, only?: "id" | "externalId"): Promise<Found> {
  const plain = text.normalize("NFKC").replace(between, "");
  const asks: Promise<List<ListedUser>>[] = [];
  const number = !only && /^\+?\d{5,18}$/.test(plain);
  if (number) asks.push(api.get("/admin/users", { mobile: text }));
  if (only !== "externalId" && /^[1-9]\d{0,15}$/.test(plain)) asks.push(api.get("/admin/users", { id: plain }));
  if (only !== "id" && [...text].length <= 64) asks.push(api.get("/admin/users", { externalId: text }));
  const answers = await Promise.allSettled(asks);
  const users = new Map<number, ListedUser>();
  for (const answer of answers) if (answer.status === "fulfilled") for (const user of answer.value.items) users.set(user.id, user);
  const found: Found = { text, users: [...users.values()] };
  const failed = answers.filter((answer) => answer.status === "rejected").map(({ reason }) => reason as Error);
  if (!found.users.length && failed.length) {
    const grave = failed.find((problem) => !(problem instanceof Problem) || problem.code >= 50000 || problem.code === 42900);
    if (grave || failed.length === answers.length) found.problem = grave ?? failed[0];
  }
  if (number && !found.users.length && !found.problem) {
    await api.get("/admin/numbers", { mobile: text }).then((held) => { found.number = held; }, () => {});
  }
  return found;
}

export function Search({ onFound, start, focus }: { onFound: (found: Found) => void; start?: string; focus?: boolean }) {
  const t = useTranslate();
  const { api } = useOperator();
  const field = useRef<HTMLInputElement>(null);
  const [busy, setBusy] = useState(false);
  useEffect(() => { if (focus) field.current?.focus(); }, []);
  const submit = async (event: Event) => {
    event.preventDefault();
    const text = field.current?.value.trim() ?? "";
    if (!text || busy) return;
    setBusy(true);
    const found = await find(api, text).catch((problem: Error): Found => ({ text, users: [], problem }));
    setBusy(false);
    if (found.users.length === 1) location.hash = userLink(found.users[0].id);
    onFound(found);
  };
  return (
    <form class="search" role="search" onSubmit={(event) => void submit(event)}>
      <label class="hidden" for="search">{t("手机号、用户 id 或 externalId", "Number, id or externalId")}</label>
      <input id="search" ref={field} type="search" defaultValue={start} autocomplete="off" spellcheck={false} autocapitalize="none"
        placeholder={t("手机号 / id / externalId", "Number / id / externalId")} />
      <button class="main" disabled={busy}>{busy ? t("查找中…", "Looking…") : t("查找", "Find")}</button>
    </form>
  );
}
