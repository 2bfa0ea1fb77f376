// The console in a real browser, on the real program: `make web-test`.
import assert from "node:assert/strict";
import { spawn } from "node:child_process";
import { mkdtempSync, readFileSync, rmSync } from "node:fs";
import { createRequire } from "node:module";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { after, before, test } from "node:test";
import { chromium } from "playwright-core";

const axe = readFileSync(createRequire(import.meta.url).resolve("axe-core/axe.min.js"), "utf8");
const folder = mkdtempSync(join(tmpdir(), "menshen-console-"));
const hostile = `<img src=x onerror="document.title='run'">`;
const keys = { admin: "a".repeat(40), support: "s".repeat(40), read: "r".repeat(40) };
const pictures = process.env.PICTURES; // a folder for screenshots
let browser, program, site, admin, person;

before(async () => {
  program = spawn(process.env.MENSHEN ?? "../menshen", [], {
    env: {
      PATH: process.env.PATH, MENSHEN_ENV: "dev", MENSHEN_DATA_DIR: join(folder, "data"), MENSHEN_SERVER_ADDR: "127.0.0.1:0", MENSHEN_SERVER_ADMIN_ADDR: "127.0.0.1:0",
      MENSHEN_CODE_COOLDOWN: "1s", MENSHEN_ADMIN_KEYS: JSON.stringify([{ name: "alice", key: keys.admin }, { name: "sam", key: keys.support, role: "support" }, { name: "rita", key: keys.read, role: "read" }]),
    },
  });
  let log = "";
  [site, admin] = await new Promise((resolve, reject) => {
    for (const stream of [program.stdout, program.stderr])
      stream.on("data", (text) => {
        log += text;
        const found = /"addr": "([^"]+)", "adminAddr": "([^"]+)"/.exec(log);
        if (found) resolve([`http://${found[1]}`, `http://${found[2]}`]);
      });
    program.on("error", reject);
    program.on("exit", () => reject(new Error(log)));
  });
  browser = await chromium.launch({
    executablePath: process.env.CHROMIUM ?? "/usr/bin/chromium",
    args: ["--no-sandbox", "--disable-gpu", "--disable-quic", "--no-first-run", "--disable-background-networking", "--disable-component-update", "--disable-sync"],
  });
  person = await logIn("13800138000", "Pixel 9");
});

after(async () => {
  await browser?.close();
  program?.kill("SIGTERM");
  await new Promise((ended) => program?.once("exit", ended));
  rmSync(folder, { recursive: true, force: true });
});

async function call(url, method, body, headers = {}) {
  const answer = await fetch(url, { method, headers: { "Content-Type": "application/json", ...headers }, body: body && JSON.stringify(body) });
  return (await answer.json()).data;
}

const request = (path, body, headers) => call(site + path, "POST", body, headers);

/** Logs in by the front door: the code is in the inbox of development. */
async function logIn(mobile, device, productType = 0) {
  await request("/auth/mobile/code", { companyType: 0, productType, mobile });
  const { items } = await call(`${site}/dev/sms.json?mobile=${mobile}`, "GET");
  const session = await request("/auth/mobile/login", { companyType: 0, productType, mobile, source: hostile, validateNo: items[0].code }, { "X-Device-Name": device });
  assert.ok(session, `login of ${mobile}`);
  return { id: session.userInfo.id, mobile, token: session.accessToken.value };
}

// open returns a page whose errors, and requests to other origins, fail the test at its end.
async function open(t, path, { key = keys.admin, ...options } = {}) {
  const context = await browser.newContext({ locale: "en-US", viewport: { width: 1280, height: 860 }, ...options });
  const page = await context.newPage();
  const problems = [];
  page.on("pageerror", (error) => problems.push(String(error)));
  page.on("console", (line) => {
    if (line.type() === "error" && !line.text().startsWith("Failed to load resource")) problems.push(line.text());
  });
  page.on("request", (request) => {
    if (!request.url().startsWith(admin) && !request.url().startsWith("blob:")) problems.push("another origin: " + request.url());
  });
  page.setDefaultTimeout(20_000);
  t.after(async () => {
    await context.close();
    assert.deepEqual(problems, []);
  });
  await page.goto(admin + "/console/" + path);
  if (key) {
    await page.locator("#key").fill(key);
    await page.keyboard.press("Enter");
    await page.locator("header nav").waitFor();
  }
  return page;
}

async function accessible(page) {
  await page.evaluate(axe);
  const found = await page.evaluate(async () => (await globalThis.axe.run()).violations.filter(({ impact }) => impact === "serious" || impact === "critical"));
  assert.deepEqual(found.map(({ id, nodes }) => `${id}: ${nodes.map(({ html }) => html).join(" ")}`), []);
}

async function narrowEnough(page) {
  const { scroll, client } = await page.evaluate(() => ({ scroll: document.documentElement.scrollWidth, client: document.documentElement.clientWidth }));
  assert.ok(scroll <= client, `${page.url()}: ${scroll} > ${client}`);
}

async function harmless(page) {
  assert.doesNotMatch(await page.title(), /^run$/);
  assert.equal(await page.locator("img[src=x]").count(), 0);
}

const picture = async (page, name) => pictures && page.screenshot({ path: join(pictures, name + ".png"), fullPage: true });

const press = (page, name) => page.getByRole("button", { name, exact: true }).click();

async function act(page, button, reason) {
  await press(page, button);
  const dialog = page.getByRole("dialog");
  if (reason) await dialog.locator("[name=reason]").fill(reason);
  return dialog;
}

const confirmed = (page, text) => page.locator(".notice", { hasText: text }).waitFor();

test("signing in: a wrong key, a right one, and what stays of it", async (t) => {
  const page = await open(t, "", { key: "" });
  await accessible(page);
  await picture(page, "sign-in");
  await page.locator("#key").fill("wrong-key-wrong-key-wrong-key-wrong-key");
  await page.keyboard.press("Enter");
  await page.getByText("This key is not right.").waitFor();
  await page.locator("#key").fill(keys.admin);
  await page.keyboard.press("Enter");
  await page.locator("#search:focus").waitFor();
  const kept = await page.evaluate(() => ({ local: JSON.stringify(localStorage), cookie: document.cookie, session: Object.keys(sessionStorage).length }));
  assert.equal(kept.cookie, "");
  assert.ok(!kept.local.includes(keys.admin));
  assert.equal(kept.session, 1);
  await page.reload();
  await page.locator("#search").waitFor();
  await press(page, "Sign out");
  await page.locator("#key").waitFor();
  assert.equal(await page.evaluate(() => sessionStorage.length), 0);
});

test("half an hour without a touch ends it", async (t) => {
  const context = await browser.newContext({ locale: "en-US" });
  t.after(() => context.close());
  const page = await context.newPage();
  await page.clock.install();
  await page.goto(admin + "/console/");
  await page.locator("#key").fill(keys.admin);
  await page.keyboard.press("Enter");
  await page.locator("#search").waitFor();
  await page.clock.fastForward("20:00");
  await page.keyboard.press("a");
  await page.clock.fastForward("20:00");
  assert.equal(await page.locator("#search").count(), 1);
  await page.clock.fastForward("11:00");
  await page.getByText("Nothing was done for 30 minutes").waitFor();
  assert.equal(await page.evaluate(() => sessionStorage.length), 0);
});

test("find, unlock, kick, ban, lift the ban", async (t) => {
  const page = await open(t, "");
  await page.locator("#search").fill("+86 138-0013-8000");
  await page.keyboard.press("Enter");
  await page.getByRole("heading", { level: 1 }).waitFor();
  await page.waitForURL(`**/console/#/users/${person.id}`);
  await page.getByText("● live").waitFor();
  await page.getByText("Pixel 9").first().waitFor();
  await accessible(page);
  await picture(page, "user");
  await (await act(page, "Unlock", "owner called")).getByRole("button", { name: "Unlock" }).click();
  await confirmed(page, "limit");
  const dialog = await act(page, "Kick all", "it's gone");
  await dialog.getByText("The same by curl and command").click();
  await dialog.getByText(`menshen user kick ${person.id} -reason 'it'\\''s gone'`).waitFor();
  await accessible(page);
  await picture(page, "kick");
  await dialog.getByRole("button", { name: "Kick all" }).click();
  await confirmed(page, "1 session ended");
  await page.getByText("No device is logged in.").waitFor();
  await (await act(page, "Ban", hostile)).getByRole("button", { name: "Ban", exact: true }).click();
  await confirmed(page, "Banned");
  await page.locator(".reasons .bad", { hasText: hostile }).waitFor();
  await accessible(page);
  await picture(page, "banned");
  await press(page, "Undo");
  await page.locator(".reasons .good").waitFor();
  await harmless(page);
});

test("what happens elsewhere shows by itself", async (t) => {
  const other = await logIn("13800138001", "Phone one");
  const page = await open(t, `#/users/${other.id}`);
  await page.getByText("● live").waitFor();
  await page.getByText("Phone one").first().waitFor();
  await call(`${admin}/admin/users/${other.id}/kick`, "POST", { reason: "from elsewhere" }, { Authorization: `Bearer ${keys.admin}` });
  await page.getByText("from elsewhere").waitFor();
  await page.getByText("No device is logged in.").waitFor();
});

test("hostile names, devices and reasons are text everywhere, also at 360 px", async (t) => {
  const victim = await logIn("13800138002", hostile);
  await call(site + "/app/auth/user", "PATCH", { nickName: "<img src=x onerror=alert(1)>".slice(0, 32), realName: hostile }, { Authorization: `Bearer ${victim.token}` });
  await call(`${admin}/admin/users/${victim.id}/ban`, "POST", { reason: hostile.repeat(5) }, { Authorization: `Bearer ${keys.admin}` });
  await logIn("13800138003", "A".repeat(64));
  for (const colorScheme of ["light", "dark"]) {
    const page = await open(t, "", { viewport: { width: 360, height: 760 }, colorScheme });
    await press(page, "中文");
    for (const path of [`users/${victim.id}`, "find", "overview", "audit", "messages", "health", "simulator", `find?id=${victim.id}`]) {
      await page.goto(`${admin}/console/#/${path}`);
      await page.waitForTimeout(1200);
      await narrowEnough(page);
      await harmless(page);
      await accessible(page);
      await picture(page, `narrow-${colorScheme}-${path.split(/[/?]/)[0]}`);
    }
    assert.equal(await page.getAttribute("html", "lang"), "zh-CN");
  }
});

test("audit: filters, live lines and a file", async (t) => {
  const page = await open(t, "#/audit");
  await page.locator(".events li").first().waitFor();
  await picture(page, "audit");
  await page.locator("[name=kind]").selectOption("ban");
  await press(page, "Filter");
  await page.locator('.events li[data-kind="ban"]').first().waitFor();
  assert.equal(await page.locator('.events li:not([data-kind="ban"])').count(), 0);
  await page.getByText("● live").waitFor();
  const lines = await page.locator(".events li").count();
  await call(`${admin}/admin/users/${person.id}/ban`, "POST", { reason: "=live()" }, { Authorization: `Bearer ${keys.admin}` });
  await page.getByText("=live()").waitFor();
  assert.equal(await page.locator(".events li").count(), lines + 1);
  const [file] = await Promise.all([page.waitForEvent("download"), press(page, "Download CSV")]);
  const text = readFileSync(await file.path(), "utf8");
  assert.match(text, /^\ufeffid,at,kind,/);
  assert.match(text, /=live\(\)/);
});

test("overview, health and simulator", async (t) => {
  const page = await open(t, "#/overview");
  await page.getByText("Codes sent").waitFor();
  await accessible(page);
  await picture(page, "overview");
  await page.goto(admin + "/console/#/health");
  await page.getByText("Signing keys").waitFor();
  await page.locator(".config summary", { hasText: "admin" }).click();
  assert.ok(!(await page.content()).includes(keys.admin));
  await accessible(page);
  await picture(page, "health");
  const someone = await logIn("13800138004", "Old phone");
  await page.goto(`${admin}/console/#/simulator?userId=${someone.id}`);
  await press(page, "Simulate");
  await page.getByText("Old phone").waitFor();
  await accessible(page);
  await picture(page, "simulator");
});

test("a number without an account, and an unknown page", async (t) => {
  const page = await open(t, "#/nothing");
  await page.locator("#search").fill("１３９ ００１３ ９０００");
  await page.keyboard.press("Enter");
  await page.getByText("This number has no account").waitFor();
  assert.ok(!page.url().includes("139"));
  await accessible(page);
  await picture(page, "number");
});

test("a role is offered only what it may do", async (t) => {
  const someone = await logIn("13800138005", "Some phone");
  const wanted = { read: [], support: ["unlock", "kick", "ban"], admin: ["unlock", "kick", "ban", "mobile", "export", "delete"] };
  for (const [role, acts] of Object.entries(wanted)) {
    const page = await open(t, `#/users/${someone.id}`, { key: keys[role] });
    await page.locator(".person").waitFor();
    assert.deepEqual(await page.locator(".acts-bar button").evaluateAll((buttons) => buttons.map(({ dataset }) => dataset.act)), acts);
    await page.getByText("Some phone").first().waitFor();
  }
});
