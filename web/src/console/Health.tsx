import { useTranslate } from "../lib/language";
import { useLoad, useOperator } from "./api";
import { Chip, Empty, Panel, Show, Time, useAgo } from "./parts";

const stale = 35_000; // three signs of life

export function HealthPage() {
  const t = useTranslate(), ago = useAgo();
  const { api, me } = useOperator();
  const health = useLoad((signal) => api.get("/admin/health", {}, signal), []);
  return (
    <>
      <div class="page-head">
        <h1>{t("健康", "Health")}</h1>
        <button onClick={health.reload} disabled={health.busy}>{health.busy ? t("正在读取…", "Loading…") : t("刷新", "Refresh")}</button>
      </div>
      <Show of={health}>
        {(data) => {
          const wrong = data.checks.filter(({ ok }) => !ok).length + (data.database.ok ? 0 : 1);
          return (
            <>
              <p class={`verdict ${wrong ? "bad" : "good"}`} role="status">{wrong ? t(`${wrong} 处需要处理，见下。`, `${wrong} to mend, see below.`) : t("一切正常。", "All is well.")}</p>
              <div class="columns even">
                <Panel title={t("实例", "Instances")}>
                  {!data.instances.length && <Empty>{t("没有实例的消息。", "No sign of an instance.")}</Empty>}
                  <ul class="rows">
                    {data.instances.map((one) => (
                      <li key={one.id}>
                        <span class="mono clip grow">{one.id}</span><Chip>{one.version}</Chip>
                        <Chip tone={Date.now() - Date.parse(one.seenAt) < stale ? "good" : "bad"}>{ago(one.seenAt)}</Chip>
                        <span class="soft small">{t("启动 ", "since ")}<Time at={one.startedAt} /></span>
                      </li>
                    ))}
                  </ul>
                </Panel>
                <Panel title={t("存储", "Storage")}>
                  <dl class="facts">
                    <dt>{t("数据库", "Database")}</dt><dd>{data.database.driver} {data.database.version} <Chip tone={data.database.ok ? "good" : "bad"}>{data.database.ok ? t("可达", "reachable") : t("不可达", "away")}</Chip></dd>
                    <dt>{t("跟随延迟", "Follower lag")}</dt><dd>{data.followerLagSeconds.toFixed(1)} s</dd>
                  </dl>
                </Panel>
                <Panel title={t("签名密钥", "Signing keys")}>
                  <ul class="rows">
                    {data.keys.map((one) => (
                      <li key={one.kid}>
                        <span class="mono clip grow" title={one.kid}>{one.kid}</span><Chip>{one.algorithm}</Chip>
                        {one.signs ? <Chip tone="good">{t("签名", "signs")}</Chip> : <Chip>{t("仅验证", "verifies")}</Chip>}<span class="soft small">{ago(one.createdAt)}</span>
                      </li>
                    ))}
                  </ul>
                </Panel>
                <Panel title={t("短信服务商，最近一小时", "Vendors, last hour")}>
                  {data.vendors?.length ? (
                    <ul class="rows">
                      {data.vendors.map((one, i) => (
                        <li key={i} class="wrap">{Object.entries(one).map(([name, value]) => <span key={name}><span class="soft small">{name}</span> {typeof value === "object" ? JSON.stringify(value) : String(value)}</span>)}</li>
                      ))}
                    </ul>
                  ) : <Empty>{t("暂无数据。", "No figures.")}</Empty>}
                </Panel>
              </div>
              <Panel title="doctor">
                <ul class="checks">
                  {[...data.checks].sort((a, b) => Number(a.ok) - Number(b.ok)).map((check) => (
                    <li key={check.name} class={check.ok ? "" : "bad"}>
                      <Chip tone={check.ok ? "good" : "bad"}>{check.ok ? t("正常", "ok") : t("处理", "mend")}</Chip>
                      <b>{check.name}</b><span class="soft"><bdi>{check.detail}</bdi></span>
                    </li>
                  ))}
                </ul>
              </Panel>
            </>
          );
        }}
      </Show>
      {me.role === "admin" && <Configuration />}
    </>
  );
}

/** The configuration in force. Secrets are masked by the service. */
function Configuration() {
  const t = useTranslate();
  const { api } = useOperator();
  const config = useLoad((signal) => api.get("/admin/config", {}, signal), []);
  return (
    <Panel title={t("生效的配置", "Configuration in force")}>
      <Show of={config}>
        {(tree) => (
          <div class="config">
            {Object.entries(tree).map(([name, value]) => (deep(value)
              ? <details key={name}><summary class="mono">{name}</summary><Tree value={value as object} /></details>
              : <Leaf key={name} name={name} value={value} />))}
          </div>
        )}
      </Show>
    </Panel>
  );
}

const Leaf = ({ name, value }: { name: string; value: unknown }) => <div class="leaf mono"><span class="soft">{name}</span> <bdi>{value === "" ? '""' : typeof value === "string" ? value : JSON.stringify(value)}</bdi></div>;

/** Whether the value has parts that deserve lines of their own. */
const deep = (value: unknown) => value !== null && typeof value === "object" && Object.keys(value).length > 0 && (!Array.isArray(value) || value.some((one) => typeof one === "object"));

function Tree({ value }: { value: object }) {
  return (
    <div class="tree">
      {Object.entries(value).map(([name, inner]) => {
        return deep(inner) ? <div key={name}><div class="leaf mono soft">{name}</div><Tree value={inner as object} /></div> : <Leaf key={name} name={name} value={inner} />;
      })}
    </div>
  );
}
