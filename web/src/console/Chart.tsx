import { useState } from "preact/hooks";
import { useTranslate } from "../lib/language";

export interface Series { name: string; values: number[] }

const width = 600, height = 150, left = 34, bottom = 18, top = 8;

/** A round number at or above n, to end the axis with. */
function ceiling(n: number): number {
  const size = 10 ** Math.floor(Math.log10(Math.max(1, n)));
  return [1, 2, 4, 6, 10].map((f) => f * size).find((f) => f >= n) ?? n;
}

/** Lines over time, drawn as SVG, with the same figures as a table for those who cannot see it. */
export function Chart({ labels, series }: { labels: string[]; series: Series[] }) {
  const t = useTranslate();
  const [at, setAt] = useState<number | null>(null);
  const most = ceiling(Math.max(1, ...series.flatMap(({ values }) => values)));
  const days = labels.length > 1 && Date.parse(labels[1]) - Date.parse(labels[0]) > 3_600_000;
  const label = (i: number) => new Date(labels[i]).toLocaleString(t("zh-CN", "en-GB"), days ? { month: "2-digit", day: "2-digit" } : { day: "2-digit", hour: "2-digit", minute: "2-digit" });
  const x = (i: number) => left + (labels.length < 2 ? 0 : (i * (width - left - 6)) / (labels.length - 1));
  const y = (n: number) => top + (1 - n / most) * (height - top - bottom);
  const move = (event: PointerEvent) => {
    const box = (event.currentTarget as Element).getBoundingClientRect();
    const place = ((event.clientX - box.left) / box.width) * width;
    setAt(Math.max(0, Math.min(labels.length - 1, Math.round(((place - left) / (width - left - 6)) * (labels.length - 1)))));
  };
  const nothing = series.every(({ values }) => values.every((n) => !n));
  return (
    <figure class="chart">
      <svg viewBox={`0 0 ${width} ${height}`} aria-hidden="true" onPointerMove={move} onPointerLeave={() => setAt(null)}>
        {[0, 0.5, 1].map((part) => (
          <g key={part}>
            <line class="grid" x1={left} x2={width} y1={y(part * most)} y2={y(part * most)} />
            {(part !== 0.5 || most > 1) && <text class="axis" x={left - 5} y={y(part * most) + 4} text-anchor="end">{(part * most).toLocaleString()}</text>}
          </g>
        ))}
        {[0, Math.floor((labels.length - 1) / 2), labels.length - 1].map((i, place) => <text key={place} class="axis" x={x(i)} y={height - 3} text-anchor={["start", "middle", "end"][place]}>{label(i)}</text>)}
        {series.map(({ name, values }, n) => <polyline key={name} class={`line s${n}`} points={values.map((value, i) => `${x(i).toFixed(1)},${y(value).toFixed(1)}`).join(" ")} />)}
        {at !== null && <line class="cursor" x1={x(at)} x2={x(at)} y1={top} y2={height - bottom} />}
      </svg>
      <figcaption>
        <span class="soft">{nothing ? t("这段时间没有数据", "nothing in this span") : at !== null ? label(at) : t("合计", "total")}</span>
        {series.map(({ name, values }, n) => <span key={name} class="key"><i class={`s${n}`} aria-hidden="true" /><bdi>{name}</bdi> <b>{(at !== null ? values[at] : values.reduce((a, b) => a + b, 0)).toLocaleString()}</b></span>)}
      </figcaption>
      <details class="small">
        <summary class="soft">{t("数据表", "Table")}</summary>
        <div class="scroll" tabIndex={0} role="region" aria-label={t("数据表", "Table")}>
          <table>
            <thead><tr><th scope="col">{t("时间", "Time")}</th>{series.map(({ name }) => <th scope="col" key={name}>{name}</th>)}</tr></thead>
            <tbody>{labels.map((one, i) => series.some(({ values }) => values[i]) && <tr key={one}><th scope="row">{label(i)}</th>{series.map(({ name, values }) => <td key={name}>{values[i]}</td>)}</tr>)}</tbody>
          </table>
        </div>
      </details>
    </figure>
  );
}
