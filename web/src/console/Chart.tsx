import { useState } from "preact/hooks";
import { useTranslate } from "../lib/language";

/** A line of a chart. It has no point where a value is null. Without a total its values are added up. */
export interface Series { name: string; values: (number | null)[]; total?: number }

const width = 600, height = 150, left = 34, bottom = 18, top = 8;

/** A round number at or above n, to end the axis with. */
function ceiling(n: number): number {
  const size = 10 ** Math.floor(Math.log10(n));
  return [1, 2, 4, 6, 10].map((f) => f * size).find((f) => f >= n) ?? n;
}

const plain = (n: number) => n.toLocaleString(undefined, { maximumFractionDigits: 4 });

/** Lines over time, drawn as SVG, with the same figures as a table for those who cannot see it. */
export function Chart({ labels, series, least = 1, format = plain }: { labels: string[]; series: Series[]; least?: number; format?: (n: number) => string }) {
  const t = useTranslate();
  const [at, setAt] = useState<number | null>(null);
  const most = ceiling(Math.max(least, ...series.flatMap(({ values }) => values.map((n) => n ?? 0))));
  const step = labels.length > 1 ? Date.parse(labels[1]) - Date.parse(labels[0]) : 0;
  const clock = { hour: "2-digit", minute: "2-digit" } as const;
  const shown = step > 3_600_000 ? { month: "2-digit", day: "2-digit" } as const : step < 3_600_000 ? clock : { day: "2-digit", ...clock } as const;
  const label = (i: number) => new Date(labels[i]).toLocaleString(t("zh-CN", "en-GB"), shown);
  const x = (i: number) => left + (labels.length < 2 ? 0 : (i * (width - left - 6)) / (labels.length - 1));
  const y = (n: number) => top + (1 - n / most) * (height - top - bottom);
  const move = (event: PointerEvent) => {
    const box = (event.currentTarget as Element).getBoundingClientRect();
    const place = ((event.clientX - box.left) / box.width) * width;
    setAt(Math.max(0, Math.min(labels.length - 1, Math.round(((place - left) / (width - left - 6)) * (labels.length - 1)))));
  };
  const nothing = series.every(({ values }) => values.every((n) => !n));
  const points = (values: Series["values"]) => values.flatMap((value, i) => (value === null ? [] : [[x(i), y(value)]]));
  const figure = ({ values, total }: Series) => {
    const value = at !== null ? values[at] : total ?? values.reduce<number>((a, b) => a + (b ?? 0), 0);
    return value === null ? "–" : format(value);
  };
  return (
    <figure class="chart">
      <svg viewBox={`0 0 ${width} ${height}`} aria-hidden="true" onPointerMove={move} onPointerLeave={() => setAt(null)}>
        {[0, 0.5, 1].map((part) => (
          <g key={part}>
            <line class="grid" x1={left} x2={width} y1={y(part * most)} y2={y(part * most)} />
            {(part !== 0.5 || most !== 1) && <text class="axis" x={left - 5} y={y(part * most) + 4} text-anchor="end">{plain(part * most)}</text>}
          </g>
        ))}
        {[0, Math.floor((labels.length - 1) / 2), labels.length - 1].map((i, place) => <text key={place} class="axis" x={x(i)} y={height - 3} text-anchor={["start", "middle", "end"][place]}>{label(i)}</text>)}
        {series.map(({ name, values }, n) => {
          const all = points(values);
          return (
            <g key={name} class={`s${n}`}>
              <polyline class="line" points={all.map(([h, v]) => `${h.toFixed(1)},${v.toFixed(1)}`).join(" ")} />
              {all.length < values.length && all.map(([h, v]) => <circle key={h} cx={h} cy={v} r="2.5" fill="currentcolor" />)}
            </g>
          );
        })}
        {at !== null && <line class="cursor" x1={x(at)} x2={x(at)} y1={top} y2={height - bottom} />}
      </svg>
      <figcaption>
        <span class="soft">{nothing ? t("这段时间没有数据", "nothing in this span") : at !== null ? label(at) : t("合计", "total")}</span>
        {series.map((one, n) => <span key={one.name} class="key"><i class={`s${n}`} aria-hidden="true" /><bdi>{one.name}</bdi> <b>{figure(one)}</b></span>)}
      </figcaption>
      <details class="small">
        <summary class="soft">{t("数据表", "Table")}</summary>
        <div class="scroll" tabIndex={0} role="region" aria-label={t("数据表", "Table")}>
          <table>
            <thead><tr><th scope="col">{t("时间", "Time")}</th>{series.map(({ name }) => <th scope="col" key={name}>{name}</th>)}</tr></thead>
            <tbody>{labels.map((one, i) => series.some(({ values }) => values[i]) && <tr key={one}><th scope="row">{label(i)}</th>{series.map(({ name, values }) => <td key={name}>{values[i] === null ? "–" : format(values[i])}</td>)}</tr>)}</tbody>
          </table>
        </div>
      </details>
    </figure>
  );
}
