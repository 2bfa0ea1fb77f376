import { useEffect, useState } from "preact/hooks";
import { useTranslate } from "../lib/language";
import { useLoad, useOperator } from "./api";
import { ActButton } from "./ActDialog";
import { unlockNumber } from "./acts";
import { LocksView, NumberReasons } from "./Locks";
import { MessageList } from "./Messages";
import { Chip, Empty, Panel, Show, Time, Trouble } from "./parts";
import { userLink } from "./route";
import { find, Search, type Found } from "./Search";
import type { Locks } from "./types";
import { companyName } from "./words";

/** The first page: who is it about? `#/find?externalId=…` and `#/find?id=…` lead here from a ticket. */
export function Find({ query, first }: { query: URLSearchParams; first?: Found }) {
  const t = useTranslate();
  const { api } = useOperator();
  const [found, setFound] = useState<Found | null>(first ?? null);
  const kind = query.get("externalId") ? "externalId" : "id";
  const asked = query.get(kind);
  useEffect(() => {
    if (!asked) return;
    void find(api, asked, kind).then((all) => {
      if (all.users.length === 1) location.replace(userLink(all.users[0].id));
      setFound(all);
    });
  }, [asked]);
  return (
    <>
      <h1 class="hidden">{t("查找", "Find")}</h1>
      <Search focus onFound={setFound} start={first?.text ?? asked ?? undefined} />
      {found?.problem && <Trouble problem={found.problem} />}
      {found && !found.problem && <Results found={found} />}
      {!found && !asked && (
        <div class="hints soft">
          <p>{t("号码写法不限（+86、空格、全角均可）。一个页面回答：这个人为什么登录不了，我们做过什么。", "Any spelling of the number will do. One page then says why this person cannot log in, and what was done about it.")}</p>
          <p class="small">{t("按 / 回到查找框。工单系统可以直接链接到 ", "Press / for the search box. Tickets can link to ")}<code>#/users/ID</code>{t(" 或 ", " or ")}<code>#/find?externalId=…</code></p>
        </div>
      )}
    </>
  );
}

function Results({ found }: { found: Found }) {
  const t = useTranslate();
  const { me } = useOperator();
  if (found.users.length > 1) {
    return (
      <Panel title={t(`找到 ${found.users.length} 个账号`, `${found.users.length} accounts`)}>
        <ul class="rows">
          {found.users.map((user) => (
            <li key={user.id}>
              <a class="row-link" href={userLink(user.id)}>
                <b class="clip"><bdi>{user.nickName || user.userName}</bdi></b>
                <span>{user.mobile}</span><span class="soft">{companyName(me, user.companyType)}</span><span class="soft mono">{user.id}</span>
                {user.deletedAt ? <Chip tone="bad">{t("已注销", "deleted")}</Chip> : user.banned && <Chip tone="bad">{t("已封禁", "banned")}</Chip>}
                <span class="soft small"><Time at={user.createdAt} /></span>
              </a>
            </li>
          ))}
        </ul>
      </Panel>
    );
  }
  if (found.users.length) return null;
  if (!found.number) return <Panel title={t("没有找到", "Nothing found")}><Empty>{t("没有这样的号码、id 或 externalId，或者不在这把密钥的范围内。", "There is no such number, id or externalId, or it is outside what this key may see.")}</Empty></Panel>;
  return <NumberView key={found.text} text={found.text} masked={found.number.mobile} first={found.number.locks} />;
}

/** A number without an account: what stands in its way, and its messages. */
function NumberView({ text, masked, first }: { text: string; masked: string; first: Locks }) {
  const t = useTranslate();
  const { api } = useOperator();
  const held = useLoad((signal) => api.get("/admin/numbers", { mobile: text }, signal), [text]);
  const messages = useLoad((signal) => api.get("/admin/messages", { mobile: text }, signal), [text]);
  const locks = held.data?.locks ?? first;
  return (
    <>
      <div class="person card">
        <div><h2>{masked}</h2><p class="soft">{t("这个号码没有账号", "This number has no account")}</p></div>
        <div class="acts-bar"><ActButton act={unlockNumber(text, masked)} onDone={held.reload} /></div>
        <NumberReasons locks={locks} messages={messages.data?.items} />
      </div>
      <div class="columns">
        <Panel title={t("限制", "Limits")}><LocksView locks={locks} /></Panel>
        <Panel title={t("短信", "Messages")}><Show of={messages}>{(list) => <MessageList messages={list.items} />}</Show></Panel>
      </div>
    </>
  );
}
