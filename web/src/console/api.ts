import { createContext } from "preact";
import { useCallback, useContext, useEffect, useRef, useState } from "preact/hooks";
import type { paths } from "./document";
import type { AuditEvent, Me } from "./types";

/** A request that was not answered with code 0. */
export class Problem extends Error {
  constructor(readonly code: number, message: string, readonly data: unknown = null, readonly requestId = "") { super(message); }

  /** The fields that an answer 40000 names. */
  get fields(): { field: string; reason: string }[] {
    return (this.data as { fields?: { field: string; reason: string }[] } | null)?.fields ?? [];
  }
}

export type Query = Record<string, string | number | undefined | null>;

// A call is checked against the document of the API: its path, the names of its parameters, its
// body, and what it answers.
type Verb = "get" | "post" | "delete";
type Known<V extends Verb> = { [P in keyof paths]: paths[P][V] extends undefined ? never : P }[keyof paths];
type Names<O> = O extends { parameters: { query?: infer Q; path?: infer P } } ? (Q extends object ? keyof Q : never) | (P extends object ? keyof P : never) : never;
type Params<O> = { [N in Names<O>]?: Query[string] };
type Body<O> = O extends { requestBody?: { content: { "application/json": infer B } } } ? B : undefined;
type Data<O> = O extends { responses: { 200: { content: { "application/json": { data: infer D } } } } } ? D : never;

/** A request that answers with D. */
export interface Call<D = unknown> { method: string; path: string; body?: unknown; answers?: D }

/** The call of an operation. Parameters without a value are left out. */
export function call<V extends Verb, P extends Known<V>>(verb: V, path: P, params: Params<paths[P][V]>, body?: Body<paths[P][V]>): Call<Data<paths[P][V]>> {
  const search = new URLSearchParams();
  let address = String(path);
  for (const [name, value] of Object.entries<Query[string]>(params)) {
    if (address.includes(`{${name}}`)) address = address.replace(`{${name}}`, encodeURIComponent(String(value)));
    else if (value !== undefined && value !== null && value !== "") search.set(name, String(value));
  }
  return { method: verb.toUpperCase(), path: search.size ? `${address}?${search}` : address, body };
}

/** The admin API, with an operator's key. */
export class Api {
  constructor(private readonly key: string, private readonly onRefused: () => void = () => {}) {}

  get<P extends Known<"get">>(path: P, params: Params<paths[P]["get"]> = {}, signal?: AbortSignal): Promise<Data<paths[P]["get"]>> {
    return this.send(call("get", path, params), signal);
  }

  async send<D>({ method, path, body }: Call<D>, signal?: AbortSignal): Promise<D> {
    const headers: Record<string, string> = { Authorization: `Bearer ${this.key}`, "Accept-Language": document.documentElement.lang };
    if (body !== undefined) headers["Content-Type"] = "application/json";
    const answer = await fetch(path, { method, headers, body: body === undefined ? undefined : JSON.stringify(body), signal, cache: "no-store", credentials: "omit", redirect: "error" });
    const requestId = answer.headers.get("X-Request-Id") ?? "";
    const envelope = (await answer.json().catch(() => null)) as { code: number; data: D; msg: string } | null;
    if (!envelope || typeof envelope.code !== "number") throw new Problem(answer.status * 100, `HTTP ${answer.status}`, null, requestId);
    if (envelope.code !== 0) {
      if (envelope.code === 40100) this.onRefused();
      throw new Problem(envelope.code, envelope.msg, envelope.data, requestId);
    }
    return envelope.data;
  }
}

export interface Operator { api: Api; me: Me }

export const Signed = createContext<Operator>(null as never);

export const useOperator = () => useContext(Signed);

export interface Loaded<T> { data?: T; problem?: Error; busy: boolean; reload: () => void }

/** Loads anew whenever one of inputs changes. While it reloads, what was loaded stays. */
export function useLoad<T>(load: (signal: AbortSignal) => Promise<T>, inputs: unknown[]): Loaded<T> {
  const [state, setState] = useState<{ data?: T; problem?: Error; of?: string; busy: boolean }>({ busy: true });
  const [turn, setTurn] = useState(0);
  const of = JSON.stringify(inputs);
  useEffect(() => {
    const control = new AbortController();
    setState((old) => (old.of === of ? { ...old, busy: true } : { of, busy: true }));
    load(control.signal).then(
      (data) => setState({ data, of, busy: false }),
      (problem: Error) => { if (!control.signal.aborted) setState((old) => ({ data: old.of === of ? old.data : undefined, problem, of, busy: false })); },
    );
    return () => control.abort();
  }, [of, turn]);
  return { ...state, reload: useCallback(() => setTurn((n) => n + 1), []) };
}

const patience = 25, pause = 5000;

/** Calls on with each new event that fits the query, as long as it is mounted and active. */
export function useFollow(query: Query, active: boolean, on: (events: AuditEvent[]) => void): boolean {
  const { api } = useOperator();
  const [live, setLive] = useState(false);
  const latest = useRef(on);
  latest.current = on;
  useEffect(() => {
    if (!active) return;
    const control = new AbortController();
    const follow = async () => {
      let after = "", wait = 0;
      while (!control.signal.aborted) {
        try {
          const from = call("get", "/admin/audit", { ...query, wait });
          const page = await api.send({ ...from, path: `${from.path}&after=${encodeURIComponent(after)}` }, control.signal); // also without a value
          setLive(true);
          after = page.next ?? after;
          wait = patience;
          if (page.items.length) latest.current(page.items);
        } catch {
          if (control.signal.aborted) return;
          setLive(false);
          await new Promise((resume) => setTimeout(resume, pause));
        }
      }
    };
    void follow();
    return () => { control.abort(); setLive(false); };
  }, [JSON.stringify(query), active]);
  return live;
}
