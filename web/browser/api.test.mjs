// The API page in a real browser, on the real program, also behind a path prefix: `make web-test`.
import assert from "node:assert/strict";
import { spawn } from "node:child_process";
import { mkdtempSync, rmSync } from "node:fs";
import { createServer, request } from "node:http";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { after, before, test } from "node:test";
import { chromium } from "playwright-core";

const folder = mkdtempSync(join(tmpdir(), "menshen-api-"));
const prefix = "/login";
let browser, program, proxy, site, admin, prefixed;

before(async () => {
  program = spawn(process.env.MENSHEN ?? "../menshen", [], {
    env: { PATH: process.env.PATH, MENSHEN_ENV: "dev", MENSHEN_DATA_DIR: join(folder, "data"), MENSHEN_SERVER_ADDR: "127.0.0.1:0", MENSHEN_SERVER_ADMIN_ADDR: "127.0.0.1:0" },
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
  // A proxy that knows its prefix and removes it, as nginx does with a location.
  proxy = createServer((incoming, outgoing) => {
    if (!incoming.url.startsWith(prefix + "/")) return outgoing.writeHead(404).end();
    const { method, headers } = incoming;
    incoming.pipe(request(site + incoming.url.slice(prefix.length), { method, headers }, (answer) => answer.pipe(outgoing.writeHead(answer.statusCode, answer.headers))));
  });
  await new Promise((listening) => proxy.listen(0, "127.0.0.1", listening));
  prefixed = `http://127.0.0.1:${proxy.address().port}${prefix}`;
  browser = await chromium.launch({
    executablePath: process.env.CHROMIUM ?? "/usr/bin/chromium",
    args: ["--no-sandbox", "--disable-gpu", "--disable-quic", "--no-first-run", "--disable-background-networking", "--disable-component-update", "--disable-sync"],
  });
});

after(async () => {
  await browser?.close();
  proxy?.closeAllConnections();
  proxy?.close();
  program?.kill("SIGTERM");
  await new Promise((ended) => program?.once("exit", ended));
  rmSync(folder, { recursive: true, force: true });
});

// open returns the page of a listener. Its errors, and requests to other origins, fail the test
// at its end.
async function open(t, base, { path = "/swagger/index.html", locale = "en-US", viewport } = {}) {
  const context = await browser.newContext({ locale, viewport: viewport ?? { width: 1280, height: 800 } });
  const page = await context.newPage();
  const problems = [];
  page.on("pageerror", (error) => problems.push(String(error)));
  page.on("console", (line) => line.type() === "error" && problems.push(line.text()));
  page.on("request", (asked) => asked.url().startsWith(base) || problems.push("elsewhere: " + asked.url()));
  page.setDefaultTimeout(60_000); // the library renders slowly on a busy machine
  t.after(async () => {
    await context.close();
    assert.deepEqual(problems, []);
  });
  await page.goto(base + path);
  await page.locator(".opblock").first().waitFor();
  return page;
}

const operation = (page, id) => page.locator(`.opblock[id$=-${id}]`);

async function expand(page, id) {
  await operation(page, id).locator(".opblock-summary-control").click();
  await operation(page, id).locator(".responses-wrapper").waitFor();
  return operation(page, id);
}

// run tries out an operation and returns the status that it shows.
async function run(page, id, fill) {
  const shown = await expand(page, id);
  await shown.getByRole("button", { name: "Try it out" }).click();
  await fill(shown);
  await shown.getByRole("button", { name: "Execute" }).click();
  return shown.locator(".live-responses-table .response .response-col_status").first().textContent();
}

const withBody = (body) => (shown) => shown.locator("textarea").fill(JSON.stringify(body));

// inboxOf returns the newest code of a number.
async function inboxOf(mobile) {
  return (await (await fetch(`${site}/dev/sms.json?mobile=${mobile}`)).json()).data.items[0].code;
}

test("the operations come first, in one language, which can be switched", async (t) => {
  for (const [base, names] of [[site, ["发送验证码", "Send a verification code"]], [admin, ["用户列表", "List users"]]]) {
    const page = await open(t, base, { locale: "zh-CN" });
    const first = page.locator(".opblock").first(), text = page.locator("#swagger-ui");
    assert.ok((await first.boundingBox()).y < 500);
    const lines = await page.locator(".info .renderedMarkdown p").evaluateAll((all) => all.reduce((sum, p) => sum + p.getBoundingClientRect().height / parseFloat(getComputedStyle(p).lineHeight), 0));
    assert.ok(lines > 1.5 && lines < 4.5, `${lines} lines`); // three, or four in a wide font
    await first.getByText(names[0]).waitFor();
    assert.doesNotMatch(await text.innerText(), new RegExp(names[1]));
    for (const [name, shown, language] of [["English", names[1], "en"], ["中文", names[0], "zh-CN"], ["English", names[1], "en"]]) {
      await page.getByRole("button", { name }).click();
      await first.getByText(shown).waitFor();
      assert.equal(await page.getAttribute("html", "lang"), language);
    }
    assert.doesNotMatch((await text.innerText()).replace("门神", ""), /\p{Script=Han}/u);
    await page.reload();
    await first.getByText(names[1]).waitFor(); // the choice is kept
  }
});

test("it can be read at 390 px", async (t) => {
  for (const [base, id] of [[site, "sendCode"], [site, "checkLoginStatus"], [site, "followSession"], [admin, "listUsers"]]) {
    const page = await open(t, base, { viewport: { width: 390, height: 844 } });
    await expand(page, id);
    const { scroll, outside } = await page.evaluate(() => ({
      scroll: document.documentElement.scrollWidth,
      outside: [...document.querySelectorAll("p, code, input, select, button, .opblock-summary-path")].filter((e) => e.getBoundingClientRect().right > 390 && !e.closest("pre, .highlight-code")).map((e) => e.outerHTML),
    }));
    assert.ok(scroll <= 390, `${id}: ${scroll}`);
    assert.deepEqual(outside, []);
  }
});

test("the token of the last login is used by itself, after a reload too, and a check is not held", async (t) => {
  const page = await open(t, site, { path: "/swagger/" });
  const number = { companyType: 0, productType: 0, mobile: "13900139009" };
  assert.match(await run(page, "sendCode", withBody(number)), /200/);
  assert.match(await run(page, "login", withBody({ ...number, source: "page", validateNo: await inboxOf(number.mobile) })), /200/);
  await page.reload();
  const asked = page.waitForRequest(/check-login-status/);
  assert.match(await run(page, "checkLoginStatus", (shown) => shown.locator("tr[data-param-name=deviceNumber] input").fill("page-device")), /200/);
  assert.equal(new URL((await asked).url()).searchParams.get("wait") ?? "0", "0");
});

test("a stream is marked, cannot be tried out, and leads to the demo", async (t) => {
  const page = await open(t, site);
  const stream = await expand(page, "followSession");
  await stream.getByText(/^Event stream \(SSE\)/).waitFor();
  assert.equal(await stream.getByRole("button", { name: "Try it out" }).count(), 0);
  const demo = await stream.getByRole("link", { name: "demo" }).evaluate((link) => link.href);
  assert.equal(demo, site + "/demo");
  assert.equal(await (await expand(page, "logout")).getByRole("button", { name: "Try it out" }).count(), 1);
});

test("behind a path prefix", async (t) => {
  const page = await open(t, prefixed);
  const asked = page.waitForRequest(/mobile\/code$/);
  assert.match(await run(page, "sendCode", withBody({ companyType: 0, productType: 0, mobile: "13900139010" })), /200/);
  assert.equal((await asked).url(), prefixed + "/auth/mobile/code");
  assert.equal(await page.locator("a", { hasText: "doc.json" }).first().evaluate((link) => link.pathname), prefix + "/swagger/doc.json");
});
