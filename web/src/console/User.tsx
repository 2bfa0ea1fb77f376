import { useState } from "preact/hooks";
import { useTranslate } from "../lib/language";
import { ActButton } from "./ActDialog";
import { ban, changeNumber, exportOf, kick, remove, unban, unlock } from "./acts";
import { useFollow, useLoad, useOperator, type Loaded } from "./api";
import { EventList } from "./Audit";
import { LocksView, UserReasons } from "./Locks";
import { MessageList } from "./Messages";
import { Chip, Empty, Panel, Show, Time, useTick } from "./parts";
import { Find } from "./Find";
import { Search, type Found } from "./Search";
import type { AuditEvent, List, Message, User } from "./types";
import { companyName, productName } from "./words";

/** All about one person, on one screen, live. */
export function UserPage({ id }: { id: number }) {
  const t = useTranslate();
  const { api } = useOperator();
  const [other, setOther] = useState<Found | null>(null);
  const user = useLoad((signal) => api.get("/admin/users/{id}", { id }, signal), [id]);
  const messages = useLoad((signal) => api.get("/admin/messages", { userId: id }, signal), [id]);
  const timeline = useLoad((signal) => api.get("/admin/users/{id}/timeline", { id }, signal), [id]);
  const reload = () => { user.reload(); messages.reload(); timeline.reload(); };
  const live = useFollow({ userId: id }, !!user.data, (events) => { if (events.some(({ kind }) => kind !== "viewed")) reload(); });
  useTick(15_000);
  if (other && other.users.length !== 1) return <Find query={new URLSearchParams()} first={other} />;
  return (
    <>
      <Search onFound={setOther} />
      <Show of={user}>
        {(person) => (
          <>
            <Head user={person} live={live} reload={reload} messages={messages.data?.items} events={timeline.data?.items} />
            <div class="columns">
              <div>
                <Sessions user={person} reload={reload} />
                <Panel title={t("短信", "Messages")}><Show of={messages}>{(list) => <MessageList messages={list.items} />}</Show></Panel>
                {person.locks && <Panel title={t("号码限制", "Limits of the number")}><LocksView locks={person.locks} /></Panel>}
              </div>
              <div><Timeline id={id} of={timeline} /></div>
            </div>
          </>
        )}
      </Show>
    </>
  );
}

function Head({ user, live, reload, messages, events }: { user: User; live: boolean; reload: () => void; messages?: Message[]; events?: AuditEvent[] }) {
  const t = useTranslate();
  const { me } = useOperator();
  const acts = user.deletedAt ? [exportOf(user)] : [unlock(user), ...(user.sessions.length ? [kick(user, me)] : []), ban(user), ...(user.banned ? [unban(user)] : []), changeNumber(user), exportOf(user), remove(user)];
  const facts: [string, preact.ComponentChildren][] = [
    ["id", <span class="mono">{user.id}</span>], ["externalId", user.externalId && <span class="mono">{user.externalId}</span>],
    [t("公司", "Company"), companyName(me, user.companyType)], [t("姓名", "Real name"), user.realName && <bdi>{user.realName}</bdi>],
    [t("用户名", "User name"), <span class="mono">{user.userName}</span>], [t("来源", "Source"), <bdi>{user.source ?? user.firstSource}</bdi>],
    [t("注册", "Registered"), <Time at={user.createdAt} />], [t("最近登录", "Last login"), user.lastLoginTime && <Time at={user.lastLoginTime} />],
    ["metadata", user.metadata && Object.keys(user.metadata).length > 0 && <code>{JSON.stringify(user.metadata)}</code>],
  ];
  return (
    <section class="person card" aria-label={t("用户", "User")}>
      <div class="person-name">
        <h1 class="clip"><bdi>{user.nickName || user.userName || user.id}</bdi></h1>
        <span class="number">{user.mobile}</span>
        {user.deletedAt ? <Chip tone="bad">{t("已注销", "deleted")}</Chip> : user.banned ? <Chip tone="bad">{t("已封禁", "banned")}</Chip> : <Chip tone="good">{t("正常", "active")}</Chip>}
        <span class={live ? "chip good" : "chip"}>{live ? t("● 实时", "● live") : t("○ 未连接", "○ not live")}</span>
      </div>
      <UserReasons user={user} messages={messages} events={events} />
      <div class="acts-bar">{acts.map((act) => <ActButton key={act.name} act={act} onDone={reload} />)}</div>
      <dl class="facts wide">{facts.filter(([, value]) => value).map(([name, value]) => <div key={name}><dt>{name}</dt><dd>{value}</dd></div>)}</dl>
    </section>
  );
}

function Sessions({ user, reload }: { user: User; reload: () => void }) {
  const t = useTranslate();
  const { me } = useOperator();
  return (
    <Panel title={t(`在线会话 ${user.sessions.length}`, `Live sessions ${user.sessions.length}`)} id="sessions">
      {!user.sessions.length && <Empty>{t("没有在线的设备。", "No device is logged in.")}</Empty>}
      <ul class="rows">
        {user.sessions.map((session) => (
          <li key={session.id} class="session-row">
            <div class="grow">
              <b>{productName(me, session.productType)}</b> <bdi class="device">{session.deviceName || t("未知设备", "unknown device")}</bdi>
              <p class="soft small">
                {session.deviceNumber && <><span class="mono">{session.deviceNumber}</span> · </>}{session.ip} · {t("登录 ", "in ")}<Time at={session.loginTime} /> · {t("最近 ", "seen ")}<Time at={session.lastSeenTime} />
              </p>
            </div>
            <ActButton act={kick(user, me, session)} onDone={reload} quiet what={session.deviceName} />
          </li>
        ))}
      </ul>
    </Panel>
  );
}

function Timeline({ id, of }: { id: number; of: Loaded<List<AuditEvent>> }) {
  const t = useTranslate();
  const [looks, setLooks] = useState(false);
  return (
    <Panel title={t("时间线", "Timeline")} side={
      <div class="side">
        <label class="tick"><input type="checkbox" checked={looks} onChange={(e) => setLooks(e.currentTarget.checked)} />{t("含查看", "looks too")}</label>
        <a class="small" href={`#/audit?userId=${id}`}>{t("在审计中打开", "Open in audit")}</a>
      </div>
    }>
      <Show of={of}>{(list) => <EventList events={list.items.filter(({ kind }) => looks || kind !== "viewed")} brief />}</Show>
    </Panel>
  );
}
