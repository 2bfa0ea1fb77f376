// The pages of development in a real browser, on the real program: `make web-test`.
import assert from "node:assert/strict";
import { spawn } from "node:child_process";
import { mkdtempSync, readFileSync, rmSync } from "node:fs";
import { createRequire } from "node:module";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { after, before, test } from "node:test";
import { chromium } from "playwright-core";

const axe = readFileSync(createRequire(import.meta.url).resolve("axe-core/axe.min.js"), "utf8");
const folder = mkdtempSync(join(tmpdir(), "menshen-pages-"));
let browser, program, site;

before(async () => {
  [program, site] = await start("dev");
  browser = await chromium.launch({
    executablePath: process.env.CHROMIUM ?? "/usr/bin/chromium",
    args: ["--no-sandbox", "--disable-gpu", "--disable-quic", "--no-first-run", "--disable-background-networking", "--disable-component-update", "--disable-sync"],
  });
});

after(async () => {
  await browser?.close();
  program?.kill("SIGTERM");
  await new Promise((ended) => program?.once("exit", ended));
  rmSync(folder, { recursive: true, force: true });
});

// start runs the program until it serves, and returns it with its site: as its block names it,
// or as its line "serving" does where there is no block.
async function start(env) {
  const child = spawn(process.env.MENSHEN ?? "../menshen", [], {
    env: {
      PATH: process.env.PATH, MENSHEN_ENV: env, MENSHEN_DATA_DIR: join(folder, env), MENSHEN_SERVER_ADDR: "127.0.0.1:0",
      MENSHEN_SERVER_ADMIN_ADDR: "127.0.0.1:0", MENSHEN_TOKEN_REUSE_GRACE: "1s",
    },
  });
  let log = "";
  const pattern = env === "dev" ? /start +(http:\S+)\/\n/ : /"addr": "([^"]+)"/;
  const found = await new Promise((resolve, reject) => {
    for (const stream of [child.stdout, child.stderr])
      stream.on("data", (text) => {
        log += text;
        const match = pattern.exec(log);
        if (match) resolve(match[1]);
      });
    child.on("error", reject);
    child.on("exit", () => reject(new Error(log)));
  });
  return [child, found.startsWith("http") ? found : "http://" + found];
}

// open returns a page whose errors, and requests to other origins, fail the test at its end.
// Refusals of the API are no errors: the demo shows them.
async function open(t, path, options) {
  const context = await browser.newContext(options);
  const page = await context.newPage();
  const problems = [];
  page.on("pageerror", (error) => problems.push(String(error)));
  page.on("console", (line) => {
    if (line.type() === "error" && !line.text().startsWith("Failed to load resource")) problems.push(line.text());
  });
  page.on("request", (request) => {
    if (!request.url().startsWith(site)) problems.push("another origin: " + request.url());
  });
  page.setDefaultTimeout(20_000);
  t.after(async () => {
    await context.close();
    assert.deepEqual(problems, []);
  });
  await page.goto(site + path);
  return page;
}

async function accessible(page) {
  await page.evaluate(axe);
  const found = await page.evaluate(async () => (await globalThis.axe.run()).violations.filter(({ impact }) => impact === "serious" || impact === "critical"));
  assert.deepEqual(found.map(({ id, nodes }) => `${id}: ${nodes.map(({ html }) => html).join(" ")}`), []);
}

async function narrowEnough(page) {
  const { scroll, client } = await page.evaluate(() => ({ scroll: document.documentElement.scrollWidth, client: document.documentElement.clientWidth }));
  assert.ok(scroll <= client, `${scroll} > ${client}`);
}

const phone = (page, side) => page.locator(`[data-side=${side}]`);
const session = (page, side, state) => page.locator(`[data-session=${side}][data-state=${state}]`).waitFor();
const generation = async (page, side) => Number(await page.locator(`[data-session=${side}]`).getAttribute("data-generation"));
const story = (page, text) => page.locator(".story li", { hasText: text }).first().waitFor();

async function logIn(page, side, product) {
  if (product) await phone(page, side).getByText(product, { exact: true }).click();
  await phone(page, side).getByRole("button", { name: /^(Get a code|获取验证码)$/ }).click();
  await phone(page, side).locator(".fill").click();
  await session(page, side, "active");
}

test("from the start page to the left phone being told, within a minute", async (t) => {
  const began = Date.now();
  const page = await open(t, "/", { viewport: { width: 1280, height: 860 }, locale: "zh-CN" });
  await accessible(page);
  await page.getByRole("link", { name: /开始演示/ }).click();
  const left = phone(page, "left");
  await left.getByRole("button", { name: "获取验证码" }).click();
  await left.locator(".notification").waitFor();
  await page.waitForTimeout(600); // the animation's end, for colours as they are
  await accessible(page);
  await left.locator(".fill").click();
  await session(page, "left", "active");
  await logIn(page, "right");
  await left.getByText("您的账号已在右边手机登录").waitFor();
  assert.ok(Date.now() - began < 60_000);
  await story(page, "秒内收到通知：已被右边手机顶下线");
  await session(page, "left", "displaced");
  await page.locator(".steps .time").waitFor();
  await page.waitForTimeout(600);
  await accessible(page);
  if (process.env.PICTURE) await page.screenshot({ path: process.env.PICTURE });
});

test("every button of a phone", async (t) => {
  const page = await open(t, "/demo?grace=2", { viewport: { width: 360, height: 760 }, locale: "en-US", colorScheme: "dark" });
  const left = phone(page, "left"), press = (name) => left.getByRole("button", { name }).click();
  await left.getByRole("button", { name: "Get a code" }).click();
  await left.locator(".fill").waitFor();
  await press(/A stranger guesses/);
  await story(page, "A stranger tried 6 times and was refused each time, at last with the right code");
  await left.locator(".fill").click();
  await session(page, "left", "active");
  await narrowEnough(page);
  for (const [button, told] of [
    [/^Refresh/, "refreshed its access token: generation 2"],
    [/^Lost answer/, "asked again with the same pair and got the same new token"],
    [/^Two tabs/, "the same new token, without a lock"],
    [/^Log out the others/, "No other device is logged in"],
  ]) {
    await press(button);
    await story(page, told);
  }
  assert.equal(await generation(page, "left"), 4);
  await page.waitForTimeout(600);
  await accessible(page);
  await press(/^Replay a stolen pair/);
  await left.getByText("Someone used old tokens").waitFor();
  await session(page, "left", "reuse");
});

test("two products at once, and one logs out the other", async (t) => {
  const page = await open(t, "/demo", { locale: "en-US" });
  await logIn(page, "left", "App");
  await logIn(page, "right", "PC");
  await session(page, "left", "active");
  await phone(page, "right").getByRole("button", { name: /^Log out the others/ }).click();
  await phone(page, "left").getByText("You logged this phone out from another device").waitFor();
  await session(page, "left", "logged_out");
  await phone(page, "right").getByRole("button", { name: /^Log out ends/ }).click();
  await session(page, "right", "logged_out");
});

test("the acts of an operator, a reload and a new number", async (t) => {
  const page = await open(t, "/demo", { locale: "en-US" });
  const operator = page.getByRole("region", { name: "Account" });
  await logIn(page, "left");
  await page.reload();
  await session(page, "left", "active");
  await phone(page, "left").getByRole("button", { name: /^Refresh/ }).waitFor();
  await operator.getByRole("button", { name: "Kick" }).click();
  await phone(page, "left").getByText("An operator ended your session").waitFor();
  await logIn(page, "right");
  await operator.getByRole("button", { name: "Ban", exact: true }).click();
  await phone(page, "right").getByText("An operator banned your account").waitFor();
  await operator.getByRole("button", { name: "Lift the ban" }).click();
  await story(page, "An operator lifted the ban");
  const before = await page.locator(".mobile b").first().textContent();
  await page.getByRole("button", { name: /another number/ }).click();
  await story(page, "A new number");
  assert.notEqual(await page.locator(".mobile b").first().textContent(), before);
  await logIn(page, "left");
});

test("the inbox: live, several numbers, copy", async (t) => {
  const context = { viewport: { width: 360, height: 760 }, locale: "en-US", permissions: ["clipboard-read", "clipboard-write"] };
  const page = await open(t, "/dev/sms", context);
  await page.getByText("● live").waitFor();
  const codes = [];
  for (const mobile of ["13900139001", "13900139002"]) {
    await page.request.post(site + "/auth/mobile/code", { data: { companyType: 0, productType: 0, mobile }, headers: { "Accept-Language": "en" } });
    await page.getByRole("button", { name: new RegExp(mobile.slice(7)) }).click();
    const message = page.locator(".sms").first();
    await message.getByText("is your code").waitFor();
    codes.push(await message.locator(".code").textContent());
    await message.getByRole("button", { name: "Copy the code" }).click();
    await message.getByText("Copied").waitFor();
    assert.equal(await page.evaluate(() => navigator.clipboard.readText()), codes.at(-1));
  }
  assert.notEqual(codes[0], codes[1]);
  assert.equal(await page.locator(".sms").count(), 1);
  await narrowEnough(page);
  await accessible(page);
  await page.getByRole("button", { name: "中文" }).click();
  await page.getByRole("heading", { name: "收件箱" }).waitFor();
  assert.equal(await page.getAttribute("html", "lang"), "zh-CN");
  await page.goto(site + "/");
  await page.getByText("手机号登录，一处登录").waitFor();
  await narrowEnough(page);
});

test("by keyboard alone", async (t) => {
  const page = await open(t, "/demo", { locale: "en-US" });
  const tabTo = async (name) => {
    for (let i = 0; i < 40; i++) {
      await page.keyboard.press("Tab");
      if (await page.evaluate((wanted) => document.activeElement?.textContent?.includes(wanted), name)) return page.keyboard.press("Enter");
    }
    assert.fail("no way to " + name);
  };
  await tabTo("Get a code");
  await phone(page, "left").locator(".fill").waitFor();
  await page.evaluate(() => document.activeElement?.blur());
  await page.locator("h1").click();
  await tabTo("Fill in");
  await session(page, "left", "active");
});

test("other environments have no pages", async (t) => {
  const [child, elsewhere] = await start("test");
  t.after(() => child.kill("SIGTERM"));
  for (const path of ["/", "/demo", "/dev/sms", "/dev/sms.json"]) assert.equal((await fetch(elsewhere + path)).status, 404);
  assert.equal((await fetch(elsewhere + "/swagger/", { redirect: "manual" })).status, 302);
});
