// What the overview makes of the periods that /admin/stats counts.
import type { Series } from "./Chart";
import type { Breakdown, Period, Stats } from "./types";

export type Step = "minute" | "hour" | "day";
const lengths: Record<Step, number> = { minute: 60_000, hour: 3_600_000, day: 86_400_000 };

/** The spans that can be chosen, each with the step that it is counted by. */
export const spans: { name: string; length: number; step: Step; zh: string; en: string }[] = [
  { name: "1h", length: lengths.hour, step: "minute", zh: "1 小时", en: "1 hour" }, { name: "1d", length: lengths.day, step: "hour", zh: "24 小时", en: "24 hours" },
  { name: "7d", length: 7 * lengths.day, step: "day", zh: "7 天", en: "7 days" }, { name: "30d", length: 30 * lengths.day, step: "day", zh: "30 天", en: "30 days" },
];

const nothing = { codes: { sent: 0, redeemed: 0, failed: 0, cost: 0, costPerRedeemed: null }, registrations: [], logins: [], displaced: 0, kicked: 0, reuse: 0, events: {}, returned: [], vendors: [] };

/** Each period of the span, those without events too. */
export function filled(stats: Stats, from: number, to: number, step: Step): Period[] {
  const length = lengths[step];
  const known = new Map(stats.items.map((item) => [Math.floor(Date.parse(item.from) / length), item]));
  const all: Period[] = [];
  for (let at = Math.floor(from / length); at * length < to; at++) all.push(known.get(at) ?? { from: new Date(at * length).toISOString(), ...nothing });
  return all;
}

export const sum = (list: Breakdown[]) => list.reduce((n, { count }) => n + count, 0);
export const total = (items: Period[], of: (item: Period) => number) => items.reduce((n, item) => n + of(item), 0);

/** A series for each of the commonest values of a part, and one for the rest. */
export function series(items: Period[], of: (item: Period) => Breakdown[], by: (part: Breakdown) => string, rest: string): Series[] {
  const totals = new Map<string, number>();
  for (const item of items) for (const part of of(item)) totals.set(by(part), (totals.get(by(part)) ?? 0) + part.count);
  const names = [...totals].sort((a, b) => b[1] - a[1]).map(([name]) => name);
  const shown = names.slice(0, 4);
  const all = shown.map((name) => ({ name, values: items.map((item) => sum(of(item).filter((part) => by(part) === name))) }));
  if (names.length > shown.length) all.push({ name: rest, values: items.map((item) => sum(of(item).filter((part) => !shown.includes(by(part))))) });
  return all;
}

export interface SourceRow { source: string; redeemed: number; registered: number; returned: number; dayOld: number }

/** The way from a redeemed code to a user who comes back, by source. dayOld are those of registered
 *  of whom it is known whether they came back. */
export function bySource(items: Period[], step: Step, now: number): SourceRow[] {
  const rows = new Map<string, SourceRow>();
  const add = (parts: Breakdown[], to: (row: SourceRow, n: number) => void) => {
    for (const { source, count } of parts) {
      const row = rows.get(source) ?? { source, redeemed: 0, registered: 0, returned: 0, dayOld: 0 };
      to(row, count);
      rows.set(source, row);
    }
  };
  for (const item of items) {
    const known = Date.parse(item.from) + lengths[step] + lengths.day <= now;
    add(item.logins, (row, n) => { row.redeemed += n; });
    add(item.registrations, (row, n) => { row.registered += n; if (known) row.dayOld += n; });
    if (known) add(item.returned, (row, n) => { row.returned += n; });
  }
  return [...rows.values()].sort((a, b) => b.redeemed - a.redeemed);
}

export type VendorRow = Period["vendors"][number];

/** The messages of the span by vendor and region, those with most first; tests are left out. */
export function byVendor(items: Period[]): VendorRow[] {
  const rows = new Map<string, VendorRow>();
  for (const item of items) {
    for (const one of item.vendors) {
      const row = rows.get(vendorName(one)) ?? { ...one, sent: 0, delivered: 0, failed: 0, redeemed: 0, cost: 0 };
      for (const name of ["sent", "delivered", "failed", "redeemed", "cost"] as const) row[name] += one[name];
      rows.set(vendorName(one), row);
    }
  }
  return [...rows.values()].filter(({ sent, failed }) => sent + failed > 0).sort((a, b) => b.sent - a.sent);
}

export const vendorName = ({ provider, region }: VendorRow) => `${provider} · ${region || "–"}`;
export const share = (part: number, of: number) => (of ? `${Math.round((100 * part) / of)} %` : "–");

/** A figure of each of the busiest vendors over time; null where it sent nothing. */
export function vendorSeries(items: Period[], rows: VendorRow[], of: (row: VendorRow) => number | null, whole: (row: VendorRow) => number): Series[] {
  return rows.slice(0, 5).map((row) => ({
    name: vendorName(row), total: whole(row),
    values: items.map((item) => {
      const one = item.vendors.find((vendor) => vendorName(vendor) === vendorName(row));
      return one ? of(one) : null;
    }),
  }));
}
