// A service in memory, as far as a client can tell it from a real one: sessions with a
// generation, one session a user, and faults on demand.
const encode = (value) => Buffer.from(JSON.stringify(value)).toString("base64url");

export class Service {
  sessions = new Map();
  log = [];
  faults = []; // each is asked with every request; it may return an answer, or throw
  answerFaults = []; // each may throw once the request has had its effect
  challenge = null;
  expired = new Set();
  next = 1;

  token(session) {
    return `${encode({ alg: "none" })}.${encode({ sid: session.id, gen: session.gen })}.s`;
  }

  login(by = "phone") {
    for (const session of this.sessions.values()) if (!session.ended) this.finish(session, "displaced", by);
    const session = { id: "s" + this.next++, gen: 1, minted: 0, ended: null, listeners: [] };
    session.refresh = "r-" + session.id;
    this.sessions.set(session.id, session);
    return session;
  }

  finish(session, reason, by = null) {
    session.ended = { reason, lastLoginTime: "2026-11-23T08:00:00Z", ...(reason === "displaced" ? { by } : {}) };
    for (const listener of session.listeners.splice(0)) listener();
  }

  claims(headers) {
    const raw = headers.Authorization?.slice(7);
    return raw ? { raw, ...JSON.parse(Buffer.from(raw.split(".")[1], "base64url")) } : null;
  }

  async answer(request) {
    const path = request.url.split("?")[0];
    this.log.push({ ...request, path, body: request.body && JSON.parse(request.body) });
    for (const fault of [...this.faults]) {
      const answer = fault(path, request);
      if (answer) return answer;
    }
    const answer = await this.act(path, request);
    for (const fault of [...this.answerFaults]) fault(path, request);
    return answer;
  }

  async act(path, request) {
    const body = request.body ? JSON.parse(request.body) : {};
    if (path === "/auth/mobile/code") {
      if (this.challenge && body.challenge !== "solved") return refuse(42900, { challenge: this.challenge }, { "Retry-After": "1" });
      return ok({ expire: "2026-11-23T08:05:00Z", resendAfter: 60 }, { "X-Code-Ticket": "ct1_x" });
    }
    if (path === "/auth/mobile/login") {
      if (body.validateNo !== "123456") return refuse(40002);
      const session = this.login(request.headers["X-Device-Name"]);
      return ok(
        { accessToken: { value: this.token(session), expire: "" }, refreshToken: { value: session.refresh, expire: "" }, userInfo: { id: 7, mobile: "13800138000" } },
        { "X-Device-Credential": "dc1_x" },
      );
    }
    if (path === "/app/auth/token/refresh") return this.rotate(body);
    const claims = this.claims(request.headers);
    const session = claims && this.sessions.get(claims.sid);
    if (!session) return refuse(40100);
    if (path === "/wx/pc/check-login-status") return this.check(session, claims, request);
    if (session.ended) return refuse(session.ended.reason === "displaced" ? 40102 : 40103, session.ended);
    if (this.expired.has(claims.raw)) return refuse(40101);
    if (path === "/app/auth/logout") {
      this.finish(session, "logged_out");
      return ok({ ended: 1 });
    }
    return ok({ id: 7, mobile: "13800138000" });
  }

  rotate({ accessToken, refreshToken }) {
    const { sid, gen } = this.claims({ Authorization: "Bearer " + accessToken });
    const session = this.sessions.get(sid);
    if (!session || session.refresh !== refreshToken) return refuse(40104);
    if (session.ended) return refuse(session.ended.reason === "displaced" ? 40102 : 40103, session.ended);
    if (gen < session.gen - 1) return refuse(40105);
    if (gen === session.gen) session.gen++;
    return ok({ value: this.token(session), expire: "" });
  }

  async check(session, claims, request) {
    if (!session.ended && this.expired.has(claims.raw)) return refuse(40101);
    if (!session.ended && request.url.includes("wait=")) await new Promise((resolve) => session.listeners.push(resolve));
    if (session.ended) return ok({ isLogin: false, lastLoginTime: session.ended.lastLoginTime }, { "X-Login-State": session.ended.reason });
    return ok({ isLogin: true, lastLoginTime: null }, { "X-Login-State": "active" });
  }

  // platform is one device, or one of its tabs: tabs share a record.
  platform(record = { text: null }, { streams = true } = {}) {
    const platform = {
      send: (request) => this.answer(request),
      read: () => record.text,
      write: (text) => (record.text = text),
      random: () => "device-1",
    };
    if (streams) platform.stream = (request, onEvent) => this.stream(request, onEvent);
    return platform;
  }

  async stream(request, onEvent) {
    this.log.push({ ...request, path: "/app/auth/events" });
    for (const fault of [...this.faults]) {
      const answer = fault("/app/auth/events", request);
      if (answer) return answer;
    }
    const claims = this.claims(request.headers);
    const session = this.sessions.get(claims.sid);
    if (!session.ended && this.expired.has(claims.raw)) return refuse(40101);
    if (!session.ended)
      await new Promise((resolve) => {
        session.listeners.push(resolve);
        request.signal.addEventListener("abort", resolve);
      });
    if (session.ended) onEvent("session.ended", JSON.stringify(session.ended));
    return { status: 200, header: () => null, text: "" };
  }
}

function reply(status, body, headers = {}) {
  const lower = Object.fromEntries(Object.entries(headers).map(([name, value]) => [name.toLowerCase(), value]));
  return { status, header: (name) => lower[name.toLowerCase()] ?? null, text: JSON.stringify(body) };
}
export const ok = (data, headers) => reply(200, { code: 0, data, msg: "OK" }, headers);
export const refuse = (code, data = null, headers = {}) => reply(Math.floor(code / 100), { code, data, msg: String(code) }, headers);
