import assert from "node:assert/strict";
import { readFileSync } from "node:fs";
import { test } from "node:test";
import { gzipSync } from "node:zlib";
import { buildSync } from "esbuild";
import { Menshen, MenshenError } from "../dist/core.js";
import { wechat } from "../dist/wechat.js";
import { Service, refuse } from "./service.mjs";

const mobile = "13800138000";

function device(service, record = { text: null }, more = {}, kind = {}) {
  const ended = [], pauses = [];
  const client = new Menshen(service.platform(record, kind), {
    companyType: 0, productType: 0, deviceName: "left", sleep: async (ms) => void pauses.push(ms), onEnded: (end) => ended.push(end), ...more,
  });
  return { client, ended, pauses, record };
}

async function loggedIn(service, ...more) {
  const phone = device(service, ...more);
  await phone.client.login(mobile, "123456");
  return phone;
}

const expire = (service, { client }) => service.expired.add(client.accessToken);
const times = (service, path) => service.log.filter((request) => request.path === path).length;
const soon = async (what) => {
  for (let i = 0; i < 1000 && !what(); i++) await new Promise(setImmediate);
  assert.ok(what());
};

test("the core is at most 8 kB minified and packed, and brings no code of others", () => {
  const built = buildSync({ entryPoints: [new URL("../dist/core.js", import.meta.url).pathname], bundle: true, minify: true, format: "esm", write: false });
  const size = gzipSync(built.outputFiles[0].contents, { level: 9 }).length;
  assert.ok(size <= 8000, `${size} bytes`);
  assert.ok(!JSON.parse(readFileSync(new URL("../package.json", import.meta.url))).dependencies);
});

test("ticket, device and credential are kept and sent where they belong", async () => {
  const service = new Service();
  const { client } = device(service);
  await client.sendCode(mobile);
  await client.login(mobile, "123456");
  await client.sendCode(mobile);
  const [first, login, second] = service.log;
  assert.equal(first.headers["X-Device-Credential"], undefined);
  assert.equal(login.headers["X-Code-Ticket"], "ct1_x");
  assert.equal(login.headers["X-Device-Number"], "device-1");
  assert.equal(second.headers["X-Device-Credential"], "dc1_x");
});

test("a challenge is completed by the callback, or the refusal is thrown", async () => {
  const service = new Service();
  service.challenge = { provider: "turnstile", siteKey: "k" };
  const seen = [];
  await device(service, undefined, { onChallenge: async (challenge) => (seen.push(challenge.siteKey), "solved") }).client.sendCode(mobile);
  assert.deepEqual(seen, ["k"]);
  await assert.rejects(device(service).client.sendCode(mobile), { code: 42900, retryAfter: 1 });
  await assert.rejects(device(service, undefined, { onChallenge: async () => null }).client.sendCode(mobile), { code: 42900 });
});

test("any number of calls and tabs at once refresh to one token", async () => {
  const service = new Service();
  const left = await loggedIn(service);
  const tabs = [left, device(service, left.record), device(service, left.record)];
  expire(service, left);
  await Promise.all(tabs.flatMap(({ client }) => [client.me(), client.me(), client.me()]));
  assert.ok(times(service, "/app/auth/token/refresh") <= tabs.length);
  assert.equal([...service.sessions.values()][0].gen, 2);
  assert.equal(left.ended.length, 0);
});

test("a lost answer is asked for again with the same pair", async () => {
  const service = new Service();
  const phone = await loggedIn(service);
  expire(service, phone);
  let losses = 2;
  service.answerFaults.push((path) => {
    if (path === "/app/auth/token/refresh" && losses-- > 0) throw new Error("cut");
  });
  await phone.client.me();
  const bodies = service.log.filter((r) => r.path === "/app/auth/token/refresh").map((r) => r.body.accessToken);
  assert.equal(bodies.length, 3);
  assert.equal(new Set(bodies).size, 1);
  assert.equal(phone.pauses.length, 2);
});

test("an answer that comes late does not undo a newer token of another tab", async () => {
  const service = new Service();
  const left = await loggedIn(service);
  const session = [...service.sessions.values()][0];
  const { access, refresh } = JSON.parse(left.record.text);
  const older = await service.platform().send({ url: "/app/auth/token/refresh", method: "POST", headers: {}, body: JSON.stringify({ accessToken: access, refreshToken: refresh }) });
  let release;
  const slow = new Menshen({ ...service.platform(left.record), send: () => new Promise((resolve) => (release = () => resolve(older))) }, { companyType: 0, productType: 0 });
  const late = slow.refresh();
  session.gen = 5;
  left.record.text = JSON.stringify({ ...JSON.parse(left.record.text), access: service.token(session) });
  release();
  assert.equal(await late, service.token(session));
  assert.equal(left.client.accessToken, service.token(session));
});

test("503, limits, proxies and lost networks never log out", async () => {
  const service = new Service();
  const phone = await loggedIn(service);
  expire(service, phone);
  for (const fault of [
    () => refuse(50300), () => refuse(42900, null, { "Retry-After": "7" }), () => ({ status: 502, header: () => null, text: "<html>" }),
    () => { throw new Error("no network"); },
  ]) {
    service.faults = [fault];
    await assert.rejects(phone.client.me(), (error) => error instanceof MenshenError && error.temporary);
    await assert.rejects(phone.client.refresh(), (error) => error.temporary);
    await assert.rejects(phone.client.logout(), (error) => error.temporary);
    assert.ok(phone.client.user);
  }
  assert.ok(phone.pauses.some((ms) => ms >= 7000));
  service.faults = [];
  await phone.client.me();
  assert.equal(phone.ended.length, 0);
});

test("a stale pair is read again; without a newer one it is kept", async () => {
  const service = new Service();
  const left = await loggedIn(service);
  expire(service, left);
  const session = [...service.sessions.values()][0];
  session.gen = 4;
  service.faults.push((path) => {
    if (path === "/app/auth/token/refresh") left.record.text = JSON.stringify({ ...JSON.parse(left.record.text), access: service.token(session) });
  });
  await left.client.me();
  assert.equal(left.client.accessToken, service.token(session));
  service.faults = [];
  expire(service, left);
  session.gen = 9;
  await assert.rejects(left.client.me(), { code: 40105 });
  assert.ok(left.client.user);
});

test("the end of the session is reported once, with reason and device", async () => {
  const service = new Service();
  const left = await loggedIn(service);
  await device(service, undefined, { deviceName: "right" }).client.login(mobile, "123456");
  await assert.rejects(left.client.me(), (error) => error.refusal.code === 40102 && error.refusal.data.by === "right");
  assert.deepEqual(left.ended, [{ reason: "displaced", lastLoginTime: "2026-11-23T08:00:00Z", by: "right" }]);
  assert.equal(left.client.user, null);
  await assert.rejects(left.client.me(), { code: 40100 });
  assert.equal(left.ended.length, 1);
});

test("displaced during a refresh", async () => {
  const service = new Service();
  const left = await loggedIn(service);
  expire(service, left);
  service.faults.push((path) => {
    if (path === "/app/auth/token/refresh") service.login("right");
  });
  await assert.rejects(left.client.me(), { code: 40102 });
  assert.equal(left.ended[0].by, "right");
});

for (const streams of [true, false]) {
  test(`the push arrives by ${streams ? "a stream" : "a held check"}`, async () => {
    const service = new Service();
    const left = await loggedIn(service, { text: null }, {}, { streams });
    left.client.watch();
    left.client.watch();
    await soon(() => [...service.sessions.values()][0].listeners.length === 1);
    service.login("right");
    await soon(() => left.ended.length === 1);
    assert.deepEqual(left.ended[0], { reason: "displaced", lastLoginTime: "2026-11-23T08:00:00Z", by: "right" });
    assert.equal(times(service, "/app/auth/events") > 0, streams);
  });

  test(`a watch goes on over faults and expiry, by ${streams ? "a stream" : "a held check"}`, async () => {
    const service = new Service();
    const left = await loggedIn(service, { text: null }, {}, { streams });
    expire(service, left);
    let faults = 5;
    service.faults.push(() => (faults-- > 0 ? refuse(50300) : undefined));
    left.client.watch();
    const session = [...service.sessions.values()][0];
    await soon(() => session.gen === 2 && session.listeners.length === 1);
    service.finish(session, "banned");
    await soon(() => left.ended.length === 1);
    assert.equal(left.ended[0].reason, "banned");
  });
}

test("stop ends a watch", async () => {
  const service = new Service();
  const left = await loggedIn(service);
  left.client.watch();
  await soon(() => times(service, "/app/auth/events") === 1);
  left.client.stop();
  await new Promise((done) => setTimeout(done, 20));
  assert.equal(times(service, "/app/auth/events"), 1);
});

test("a login in another tab is not undone by the end of the older session", async () => {
  const service = new Service();
  const tab = await loggedIn(service);
  const old = tab.client.accessToken;
  const other = device(service, tab.record);
  service.faults.push((path, request) => {
    service.faults = [];
    return other.client.login(mobile, "123456").then(() => service.act(path, request));
  });
  await tab.client.me();
  assert.notEqual(tab.client.accessToken, old);
  assert.equal(tab.ended.length, 0);
});

test("logout forgets the pair and keeps the device", async () => {
  const service = new Service();
  const phone = await loggedIn(service);
  assert.equal(await phone.client.logout(), 1);
  assert.equal(phone.client.user, null);
  assert.equal(JSON.parse(phone.record.text).device, "device-1");
});

test("a broken record is none", async () => {
  const { client } = device(new Service(), { text: "{" });
  assert.equal(client.user, null);
  assert.equal(client.deviceNumber, "device-1");
});

test("WeChat: wx.request, its headers and its failures", async () => {
  const service = new Service(), storage = new Map();
  const wx = {
    request({ url, method, header, data, success, fail }) {
      service.answer({ url, method, headers: header, body: data }).then(
        (answer) => success({ statusCode: answer.status, data: answer.text, header: { "x-code-ticket": answer.header("X-Code-Ticket") } }),
        (error) => fail({ errMsg: error.message }),
      );
      return { abort() {} };
    },
    getStorageSync: (key) => storage.get(key) ?? "", setStorageSync: (key, value) => storage.set(key, value),
  };
  const client = new Menshen(wechat(wx), { companyType: 0, productType: 0 });
  await client.sendCode(mobile);
  await client.login(mobile, "123456");
  assert.equal(service.log.at(-1).headers["X-Code-Ticket"], "ct1_x");
  assert.match(client.deviceNumber, /^wx-/);
  service.faults.push(() => { throw new Error("request:fail timeout"); });
  await assert.rejects(client.me(), { code: 0, message: "request:fail timeout" });
});
