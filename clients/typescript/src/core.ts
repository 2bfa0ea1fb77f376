import type {
  Answer, Challenge, CodeSent, Ended, EndedSessionItem, Login, Platform, Purpose, Refusal, SessionItem, UserInfo, UserPatch,
} from "./types.js";

export type * from "./types.js";

export interface Options {
  /** Scheme and host of the service; "" is the page's own. */
  base?: string;
  companyType: number;
  productType: number;
  /** Label of this device, shown to the one that it displaces. */
  deviceName?: string;
  /** Language of messages and sentences: zh-CN or en. */
  language?: () => string;
  /** Registration source. */
  source?: string;
  /** Completes a challenge and returns its answer, null if the user gives up. */
  onChallenge?: (challenge: Challenge) => Promise<string | null>;
  /** The device is logged in no more. Its pair has been forgotten. */
  onEnded?: (ended: Ended) => void;
  /** Pauses between attempts. Tests replace it. */
  sleep?: (ms: number) => Promise<void>;
}

/** A refusal of the service, or code 0 with status 0: there was no answer. */
export class MenshenError extends Error {
  constructor(
    readonly code: number,
    readonly data: unknown,
    message: string,
    /** Seconds until another attempt makes sense, 0 if unknown. */
    readonly retryAfter = 0,
  ) {
    super(message);
  }

  /** The refusal with its data typed by its code. */
  get refusal(): Refusal {
    return { code: this.code, data: this.data, msg: this.message } as Refusal;
  }

  /** No verdict: the network, a limit or the service itself. Never a reason to log out. */
  get temporary(): boolean {
    return this.code === 0 || this.code >= 42900;
  }
}

/** The one record that a client keeps. */
interface Kept {
  device?: string;
  access?: string;
  refresh?: string;
  user?: UserInfo;
  /** By number, as the user typed it: proof of an earlier login, for sending codes. */
  credentials?: Record<string, string>;
  /** By purpose and number: the ticket of the newest code. */
  tickets?: Record<string, string>;
}

interface Call {
  method?: string;
  body?: unknown;
  headers?: Record<string, string>;
  timeout?: number;
  signal?: AbortSignal;
}

const requestTime = 12_000;
const holdSeconds = 25;
const refreshTries = 4;

export class Menshen {
  private refreshing: Promise<string> | undefined;
  private watching: { signal: AbortSignal; abort(): void } | undefined;

  constructor(
    private readonly platform: Platform,
    private readonly options: Options,
  ) {}

  /** The user who is logged in on this device, as last seen. */
  get user(): UserInfo | null {
    const kept = this.kept();
    return kept.access ? (kept.user ?? null) : null;
  }

  /** The access token, for requests to other services. It may have expired: see `call`. */
  get accessToken(): string | null {
    return this.kept().access ?? null;
  }

  /** This device's number. It is made once and outlives logouts. */
  get deviceNumber(): string {
    const kept = this.kept();
    if (kept.device) return kept.device;
    const device = this.platform.random();
    this.keep({ device });
    return device;
  }

  /** Sends a code. A challenge that the service demands is completed first. */
  async sendCode(mobile: string, purpose: Purpose = "login"): Promise<CodeSent> {
    const { companyType, productType, onChallenge } = this.options;
    const body: Record<string, unknown> = { companyType, productType, mobile, purpose };
    const credential = this.kept().credentials?.[mobile];
    const headers: Record<string, string> = credential ? { "X-Device-Credential": credential } : {};
    for (let tries = 0; ; tries++) {
      const answer = await this.send("/auth/mobile/code", { method: "POST", body, headers });
      const ticket = answer.header("X-Code-Ticket");
      if (ticket) this.keep({ tickets: put(this.kept().tickets, purpose + mobile, ticket) });
      const { error, data } = parse<CodeSent>(answer);
      if (!error) return data;
      const demanded = (error.data as { challenge?: Challenge } | null)?.challenge;
      const solved = demanded && onChallenge && tries < 3 ? await onChallenge(demanded) : null;
      if (!demanded || solved === null) throw error;
      body.challenge = solved;
      body.challengeProvider = demanded.provider;
    }
  }

  /** Logs in with a code. `replaceSession` is an id of the devices that a 40900 names. */
  async login(mobile: string, validateNo: string, replaceSession?: string): Promise<Login> {
    const { companyType, productType, source = "" } = this.options;
    const ticket = this.kept().tickets?.["login" + mobile];
    const answer = await this.send("/auth/mobile/login", {
      method: "POST",
      body: { companyType, productType, source, mobile, validateNo, replaceSession },
      headers: { ...this.device(), ...(ticket ? { "X-Code-Ticket": ticket } : {}) },
    });
    const login = parsed<Login>(answer);
    this.keep({ access: login.accessToken.value, refresh: login.refreshToken.value, user: login.userInfo });
    this.keepCredential(answer, mobile);
    return login;
  }

  /**
   * Sends a request with the access token. An expired token is refreshed and a stale one read
   * again, once each; the end of the session is reported to `onEnded`, then thrown.
   */
  async call<T>(path: string, call: Call = {}): Promise<T> {
    return parsed<T>(await this.authorized(path, call));
  }

  me(): Promise<UserInfo> {
    return this.call("/app/auth/user");
  }

  change(patch: UserPatch): Promise<UserInfo> {
    return this.call("/app/auth/user", { method: "PATCH", body: patch });
  }

  /** Changes the number, with a code of purpose `change` for each of both. */
  async changeNumber(mobile: string, validateNo: string, oldValidateNo: string): Promise<UserInfo> {
    const { user, tickets } = this.kept();
    const proof = [mobile, user?.mobile].map((number) => tickets?.["change" + number]).filter(Boolean).join(",");
    const answer = await this.authorized("/app/auth/user/mobile", {
      method: "POST", body: { mobile, validateNo, oldValidateNo }, headers: proof ? { "X-Code-Ticket": proof } : {},
    });
    const changed = parsed<UserInfo>(answer);
    this.keepCredential(answer, mobile);
    this.keep({ user: changed });
    return changed;
  }

  /** Deletes the account, with a code of purpose `delete`. */
  async deleteAccount(validateNo: string): Promise<void> {
    const { user, tickets } = this.kept();
    const ticket = tickets?.["delete" + user?.mobile];
    await this.call("/app/auth/user", { method: "DELETE", body: { validateNo }, headers: ticket ? { "X-Code-Ticket": ticket } : {} });
    this.forget();
  }

  sessions(): Promise<SessionItem[]> {
    return this.call("/app/auth/sessions");
  }

  endedSessions(): Promise<EndedSessionItem[]> {
    return this.call("/app/auth/sessions?ended=true");
  }

  endSession(id: string): Promise<unknown> {
    return this.call("/app/auth/sessions/" + encodeURIComponent(id), { method: "DELETE" });
  }

  /** Logs out. The pair is kept if the service could not be asked: try again. */
  async logout(scope: "current" | "others" | "all" = "current"): Promise<number> {
    const { ended } = await this.call<{ ended: number }>("/app/auth/logout", { method: "POST", body: { scope } });
    if (scope !== "others") this.forget();
    return ended;
  }

  /** Forgets the pair without asking the service. Device, credentials and tickets stay. */
  forget(): void {
    this.keep({ access: undefined, refresh: undefined, user: undefined });
  }

  /**
   * Returns an access token that replaces `old`. Calls within this client share one request;
   * those of other tabs need no lock, for the service answers all of them alike. A lost answer
   * is asked for again with the same pair.
   */
  refresh(old = this.kept().access): Promise<string> {
    this.refreshing ??= this.refreshOnce(old).finally(() => (this.refreshing = undefined));
    return this.refreshing;
  }

  /** Reports to `onEnded`, at once, when this device is logged in no more. It ends with `stop`. */
  watch(): void {
    if (this.watching) return;
    const control = (this.watching = typeof AbortController === "undefined" ? new Switch() : new AbortController());
    void this.watchUntil(control.signal).finally(() => {
      if (this.watching === control) this.watching = undefined;
    });
  }

  stop(): void {
    this.watching?.abort();
    this.watching = undefined;
  }

  private keepCredential(answer: Answer, mobile: string): void {
    const credential = answer.header("X-Device-Credential");
    if (credential) this.keep({ credentials: put(this.kept().credentials, mobile, credential) });
  }

  private async refreshOnce(old: string | undefined): Promise<string> {
    for (let tries = 1; ; tries++) {
      const { access, refresh } = this.kept();
      if (!access || !refresh) throw new MenshenError(40100, null, "not logged in");
      if (access !== old) return access; // another tab has been here
      const answer = await this.send("/app/auth/token/refresh", {
        method: "POST", body: { accessToken: access, refreshToken: refresh }, headers: this.device(),
      }).catch(lost);
      const { error, data } = parse<{ value: string }>(answer);
      if (!error) return this.advance(refresh, data.value);
      if (this.kept().access !== access) continue; // stale by now: read again
      if (!error.temporary && error.code !== 40105) throw this.end(error, access);
      if (tries === refreshTries) throw error;
      await this.pause(tries, error);
    }
  }

  /** Keeps a refreshed token, unless another tab has kept a newer one, or another login. */
  private advance(refresh: string, access: string): string {
    const now = this.kept();
    if (now.refresh !== refresh || !now.access) throw new MenshenError(40100, null, "logged out meanwhile");
    if (generation(now.access) >= generation(access)) return now.access;
    this.keep({ access });
    return access;
  }

  private async authorized(path: string, call: Call): Promise<Answer> {
    for (let tries = 0; ; tries++) {
      const { access } = this.kept();
      if (!access) throw new MenshenError(40100, null, "not logged in");
      const headers = { ...this.device(), ...call.headers, Authorization: "Bearer " + access };
      const answer = await this.send(path, { ...call, headers });
      const code = codeOf(answer);
      if (code < 40100 || code > 40199) return answer;
      const { error } = parse(answer);
      if (this.kept().access !== access && tries < 2) continue; // a newer one is kept
      if ((code === 40101 || code === 40105) && tries < 2) {
        await this.refresh(access);
        continue;
      }
      throw code === 40101 || code === 40105 ? error! : this.end(error!, access);
    }
  }

  /** Forgets the pair if it is still the one that was refused, and reports why. */
  private end(error: MenshenError, access: string): MenshenError {
    const data = error.data as Partial<Ended> | null;
    this.over({ reason: data?.reason ?? "invalid", lastLoginTime: data?.lastLoginTime ?? null, by: data?.by ?? null }, access);
    return error;
  }

  private over(ended: Ended, access: string): void {
    const now = this.kept().access;
    if (!now || claims(now).sid !== claims(access).sid) return; // another login took its place here
    this.forget();
    this.stop();
    this.options.onEnded?.(ended);
  }

  private async watchUntil(signal: AbortSignal): Promise<void> {
    for (let failures = 0; !signal.aborted; ) {
      const access = this.kept().access;
      if (!access) return;
      try {
        if (this.platform.stream) await this.follow(access, signal);
        else await this.check(access, holdSeconds, signal);
        failures = 0;
      } catch (error) {
        if (signal.aborted) return;
        if (!(error instanceof MenshenError) || !error.temporary) continue; // judged: the pair has changed or is gone
        await this.pause(++failures, error);
      }
    }
  }

  /** One stream. When it ends without an event, a check says whether to open another. */
  private async follow(access: string, signal: AbortSignal): Promise<void> {
    let told = false;
    const headers = { ...this.device(), Authorization: "Bearer " + access };
    const url = (this.options.base ?? "") + "/app/auth/events";
    await this.platform.stream!({ method: "GET", url, headers, timeout: 0, signal }, (name) => {
      told ||= name === "session.ended";
    }).catch(lost);
    if (signal.aborted) return;
    if (told) await this.call("/app/auth/user"); // is refused with the reason and the newer device
    else {
      await this.check(access, 0, signal);
      await this.pause(1, null);
    }
  }

  /** One check, held up to `wait` seconds. */
  private async check(access: string, wait: number, signal: AbortSignal): Promise<void> {
    const answer = await this.authorized("/wx/pc/check-login-status" + (wait ? "?wait=" + wait : ""), {
      timeout: requestTime + wait * 1000, signal,
    });
    const { isLogin, lastLoginTime } = parsed<{ isLogin: boolean; lastLoginTime: string | null }>(answer);
    if (isLogin) return;
    const reason = (answer.header("X-Login-State") ?? "invalid") as Ended["reason"];
    if (reason !== "device_mismatch") await this.call("/app/auth/user"); // names the newer device
    this.over({ reason, lastLoginTime, by: null }, access);
  }

  private async send(path: string, call: Call): Promise<Answer> {
    const headers: Record<string, string> = { "Accept-Language": this.options.language?.() ?? "zh-CN", ...call.headers };
    if (call.body !== undefined) headers["Content-Type"] = "application/json";
    return this.platform.send({
      method: call.method ?? "GET", url: (this.options.base ?? "") + path, headers, timeout: call.timeout ?? requestTime,
      ...(call.body === undefined ? {} : { body: JSON.stringify(call.body) }), ...(call.signal ? { signal: call.signal } : {}),
    }).catch((error: unknown) => {
      throw error instanceof MenshenError ? error : new MenshenError(0, null, String((error as Error)?.message ?? error));
    });
  }

  private device(): Record<string, string> {
    const name = this.options.deviceName;
    return { "X-Device-Number": this.deviceNumber, ...(name ? { "X-Device-Name": name } : {}) };
  }

  private kept(): Kept {
    try {
      return (JSON.parse(this.platform.read() ?? "{}") as Kept | null) ?? {};
    } catch {
      return {}; // a broken record is none
    }
  }

  private keep(change: Partial<Kept>): void {
    this.platform.write(JSON.stringify({ ...this.kept(), ...change }));
  }

  private pause(tries: number, error: MenshenError | null): Promise<void> {
    const sleep = this.options.sleep ?? ((ms: number) => new Promise<void>((done) => setTimeout(done, ms)));
    const most = Math.min(30_000, 500 * 2 ** (tries - 1));
    return sleep(Math.max((error?.retryAfter ?? 0) * 1000, most * (0.5 + Math.random() / 2)));
  }
}

/** AbortController where there is none: WeChat's held check then runs out by itself. */
class Switch {
  signal = { aborted: false } as AbortSignal;
  abort(): void {
    (this.signal as { aborted: boolean }).aborted = true;
  }
}

/** A small map with one entry more. The oldest ones go. */
function put(map: Record<string, string> | undefined, key: string, value: string): Record<string, string> {
  const { [key]: _, ...others } = map ?? {};
  return Object.fromEntries([...Object.entries(others).slice(-7), [key, value]]);
}

/** Turns a lost answer into one that parse reports as temporary. */
function lost(error: unknown): Answer {
  return { status: 0, header: () => null, text: JSON.stringify({ code: -1, data: null, msg: String((error as Error)?.message ?? error) }) };
}

/** The code of an answer, -1 if it is no envelope: a proxy has answered. */
function codeOf(answer: Answer): number {
  return envelope(answer).code;
}

function envelope(answer: Answer): { code: number; data: unknown; msg: string } {
  try {
    const parsed = JSON.parse(answer.text) as { code: number; data: unknown; msg: string };
    if (typeof parsed.code === "number") return parsed;
  } catch {
    // below
  }
  return { code: -1, data: null, msg: "HTTP " + answer.status };
}

function parse<T>(answer: Answer): { error?: MenshenError; data: T } {
  const { code, data, msg } = envelope(answer);
  if (code === 0) return { data: data as T };
  return { error: new MenshenError(Math.max(code, 0), data, msg, Number(answer.header("Retry-After")) || 0), data: null as T };
}

function parsed<T>(answer: Answer): T {
  const { error, data } = parse<T>(answer);
  if (error) throw error;
  return data;
}

/** The claims of a token, unverified. Here they only decide which of two kept tokens is newer. */
export function claims(token: string): { gen?: number; sid?: string } {
  try {
    return JSON.parse(base64(token.split(".")[1] ?? "")) as { gen?: number; sid?: string };
  } catch {
    return {};
  }
}

function generation(token: string): number {
  return claims(token).gen ?? 0;
}

/** Base64url to text. WeChat has no atob. */
function base64(text: string): string {
  const letters = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-_";
  let bits = 0, value = 0, out = "";
  for (const letter of text) {
    value = (value << 6) | letters.indexOf(letter);
    if ((bits += 6) >= 8) out += String.fromCharCode((value >> (bits -= 8)) & 255);
  }
  return out;
}
