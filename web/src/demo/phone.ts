import { useEffect, useState } from "preact/hooks";
import { browser } from "menshen-client/browser";
import { claims, Menshen, MenshenError, type Ended, type Platform, type Request, type UserInfo } from "menshen-client/core";
import type { Sms } from "../lib/inbox";
import { preferred } from "../lib/language";

export type Side = "left" | "right";
export type Actor = "phone" | "tab" | "thief" | "stranger";

/** One request of a phone, or of a person who acts on its account, with what came back. */
export interface Exchange {
  id: number;
  actor: Actor;
  method: string;
  path: string;
  request: unknown;
  status: number | null; // null: on its way
  code: number | null;
  answer: unknown;
  lost: boolean;
}

export interface SessionState {
  id: string;
  state: string;
  generation: number;
}

const shownExchanges = 40;

/** A phone of the demo: the real client on the real API, with its traffic made visible. */
export class Phone {
  readonly client: Menshen;
  readonly name: string;
  mobile = "";
  product = 0;
  step: "number" | "code" | "home" | "ended" = "number";
  busy = false;
  user: UserInfo | null = null;
  ended: Ended | null = null;
  error: string | null = null;
  message: Sms | null = null;
  awaiting = false;
  resendAt = 0;
  exchanges: Exchange[] = [];
  session: SessionState | null = null;
  /** Set to lose the answer of the next refresh. */
  loseNext = false;
  onEnded: (ended: Ended) => void = () => {};
  onRequest: (path: string) => void = () => {};
  private readonly listeners = new Set<() => void>();
  private count = 0;

  constructor(readonly side: Side) {
    this.name = side === "left" ? "Left phone" : "Right phone";
    this.client = this.newClient("phone");
    this.user = this.client.user;
    if (this.user) {
      this.step = "home";
      this.client.watch();
      void this.look();
    }
  }

  /** Another tab of the same phone: it shares the record. */
  tab(): Menshen {
    return this.newClient("tab");
  }

  private newClient(actor: Actor): Menshen {
    const phone = this;
    return new Menshen(this.platform(actor), {
      companyType: 0, get productType() { return phone.product; }, deviceName: this.name, source: "demo", language: preferred,
      onEnded: (ended) => {
        this.set({ step: "ended", ended, user: null });
        void this.look();
        this.onEnded(ended);
      },
    });
  }

  private platform(actor: Actor): Platform {
    const platform = browser("menshen.demo." + this.side, sessionStorage);
    return {
      ...platform,
      send: (request) => this.observe(actor, request, () => platform.send(request)),
      stream: (request, onEvent) => {
        const entry = this.begin(actor, request);
        return platform.stream!(request, (name, data) => {
          this.update(entry, { answer: { event: name, data: JSON.parse(data) as unknown } });
          onEvent(name, data);
        }).then((answer) => {
          this.update(entry, { status: answer.status, code: 0 });
          return answer;
        }, (error: unknown) => {
          this.update(entry, { status: 0 });
          throw error;
        });
      },
    };
  }

  private async observe(actor: Actor, request: Request, send: () => ReturnType<Platform["send"]>) {
    const entry = this.begin(actor, request);
    this.onRequest(request.url); // a push may be here before the answer is
    const answer = await send().catch((error: unknown) => {
      this.update(entry, { status: 0 });
      throw error;
    });
    const body = parsed(answer.text) as { code?: number } | string;
    const lost = this.loseNext && entry.path === "/app/auth/token/refresh";
    this.update(entry, { status: answer.status, code: typeof body === "string" ? null : (body.code ?? null), answer: body, lost });
    void this.look();
    if (!lost) return answer;
    this.loseNext = false;
    throw new Error("lost");
  }

  /** Sends a request as somebody else, without the client. */
  async as(actor: Actor, path: string, body: unknown): Promise<number> {
    const request: Request = {
      method: "POST", url: path, timeout: 10_000, body: JSON.stringify(body),
      headers: { "Content-Type": "application/json", "Accept-Language": preferred() },
    };
    const answer = await this.observe(actor, request, () => browser().send(request));
    return (parsed(answer.text) as { code: number }).code;
  }

  private begin(actor: Actor, { method, url, body }: Request): Exchange {
    const entry = { id: ++this.count, actor, method, path: url, request: body ? parsed(body) : null, status: null, code: null, answer: null, lost: false };
    this.set({ exchanges: [entry, ...this.exchanges].slice(0, shownExchanges) });
    return entry;
  }

  private update(entry: Exchange, change: Partial<Exchange>): void {
    Object.assign(entry, change);
    this.set({});
  }

  /** Reads how the session stands, which only the pages of development may. */
  async look(): Promise<void> {
    const token = this.client.accessToken;
    const id = token ? claims(token).sid : this.session?.id;
    if (!id) return;
    const answer = await fetch("/dev/sessions/" + encodeURIComponent(id), { cache: "no-store" }).catch(() => null);
    if (!answer?.ok) return;
    const { data } = (await answer.json()) as { data: { state: string; generation: number } };
    this.set({ session: { id, ...data } });
  }

  /** Runs an act, and shows its refusal. */
  async act(work: () => Promise<unknown>): Promise<boolean> {
    if (this.busy) return false;
    this.set({ busy: true, error: null });
    try {
      await work();
      return true;
    } catch (error) {
      if (!(error instanceof MenshenError)) throw error;
      if (error.code === 42901) this.resendAt = Date.now() + error.retryAfter * 1000;
      if (this.step !== "ended") this.error = error.code ? `${error.code} · ${error.message}` : error.message;
      return false;
    } finally {
      this.set({ busy: false });
    }
  }

  sendCode(): Promise<boolean> {
    return this.act(async () => {
      this.awaiting = true;
      const { resendAfter } = await this.client.sendCode(this.mobile);
      this.set({ step: "code", resendAt: Date.now() + resendAfter * 1000, ended: null });
    });
  }

  login(code: string): Promise<boolean> {
    return this.act(async () => {
      const { userInfo } = await this.client.login(this.mobile, code);
      this.set({ step: "home", user: userInfo, ended: null, message: null, awaiting: false });
      this.client.watch();
      await this.look();
    });
  }

  logout(scope: "current" | "others"): Promise<boolean> {
    return this.act(async () => {
      await this.client.logout(scope);
      if (scope === "current") this.set({ step: "number", user: null });
    });
  }

  /** A message to the number: the phone that asked for it shows it. */
  receive(sms: Sms): boolean {
    if (!this.awaiting || !sms.mobile.endsWith(this.mobile)) return false;
    this.set({ message: sms });
    return true;
  }

  /** Keeps the device credential of the other phone, as one that was logged in before. */
  adopt(other: Phone): void {
    const record = (phone: Phone) => JSON.parse(sessionStorage.getItem("menshen.demo." + phone.side) ?? "{}") as Record<string, unknown>;
    sessionStorage.setItem("menshen.demo." + this.side, JSON.stringify({ ...record(this), credentials: record(other)["credentials"] }));
  }

  /** Begins anew with a number. */
  reset(mobile: string): void {
    this.client.stop();
    this.client.forget();
    this.set({
      mobile, step: "number", user: null, ended: null, error: null, message: null, awaiting: false, resendAt: 0, exchanges: [], session: null, busy: false,
    });
  }

  set(change: Partial<Phone>): void {
    Object.assign(this, change);
    for (const listener of this.listeners) listener();
  }

  subscribe(listener: () => void): () => void {
    this.listeners.add(listener);
    return () => this.listeners.delete(listener);
  }
}

/** Renders a component again whenever one of the phones changes. */
export function usePhones(...phones: Phone[]): void {
  const [, render] = useState(0);
  useEffect(() => {
    const leave = phones.map((phone) => phone.subscribe(() => render((n) => n + 1)));
    return () => leave.forEach((end) => end());
  }, phones);
}

function parsed(text: string): unknown {
  try {
    return JSON.parse(text);
  } catch {
    return text;
  }
}
