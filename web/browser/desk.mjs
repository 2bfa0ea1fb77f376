// What the tests of the console share: the program, its people, and a desk in the browser.
import assert from "node:assert/strict";
import { spawn } from "node:child_process";
import { mkdtempSync, readFileSync, rmSync } from "node:fs";
import { createRequire } from "node:module";
import { tmpdir } from "node:os";
import { dirname, join } from "node:path";
import { chromium } from "playwright-core";

const axe = readFileSync(createRequire(import.meta.url).resolve("axe-core/axe.min.js"), "utf8");
export const hostile = `<img src=x onerror="document.title='run'">`;
export const keys = { admin: "a".repeat(40), support: "s".repeat(40), read: "r".repeat(40) };
const pictures = process.env.PICTURES; // a folder for screenshots

/** Starts the program and a browser. Its folder has the configuration of settings. */
export async function start(settings = {}) {
  const folder = mkdtempSync(join(tmpdir(), "menshen-console-"));
  const file = process.env.MENSHEN ?? "../menshen";
  const env = {
    PATH: process.env.PATH, MENSHEN_ENV: "dev", MENSHEN_DATA_DIR: join(folder, "data"), MENSHEN_SERVER_ADDR: "127.0.0.1:0", MENSHEN_SERVER_ADMIN_ADDR: "127.0.0.1:0", MENSHEN_CODE_COOLDOWN: "1s",
    MENSHEN_ADMIN_KEYS: JSON.stringify([{ name: "alice", key: keys.admin }, { name: "sam", key: keys.support, role: "support" }, { name: "rita", key: keys.read, role: "read" }]), ...settings,
  };
  const program = spawn(file, [], { env });
  let log = "";
  const [site, admin] = await new Promise((resolve, reject) => {
    for (const stream of [program.stdout, program.stderr])
      stream.on("data", (text) => {
        log += text;
        const found = /"addr": "([^"]+)", "adminAddr": "([^"]+)"/.exec(log);
        if (found) resolve([`http://${found[1]}`, `http://${found[2]}`]);
      });
    program.on("error", reject);
    program.on("exit", () => reject(new Error(log)));
  });
  const browser = await chromium.launch({
    executablePath: process.env.CHROMIUM ?? "/usr/bin/chromium",
    args: ["--no-sandbox", "--disable-gpu", "--disable-quic", "--no-first-run", "--disable-background-networking", "--disable-component-update", "--disable-sync"],
  });
  return new Desk({ folder, file, env, program, site, admin, browser });
}

/** A running program and the browser beside it. */
class Desk {
  constructor(parts) { Object.assign(this, parts); }

  async close() {
    await this.browser.close();
    this.program.kill("SIGTERM");
    await new Promise((ended) => this.program.once("exit", ended));
    rmSync(this.folder, { recursive: true, force: true });
  }

  async call(url, method, body, headers = {}) {
    const answer = await fetch(url, { method, headers: { "Content-Type": "application/json", ...headers }, body: body && JSON.stringify(body) });
    return (await answer.json()).data;
  }

  request(path, body, headers) { return this.call(this.site + path, "POST", body, headers); }

  /** Asks the admin API, as the operator with all rights. */
  ask(path, method = "GET", body = undefined) { return this.call(this.admin + path, method, body, { Authorization: `Bearer ${keys.admin}` }); }

  /** The newest code of a number: it is in the inbox of development. */
  async codeOf(mobile) { return (await this.call(`${this.site}/dev/sms.json?mobile=${mobile}`, "GET")).items[0].code; }

  /** Logs in by the front door. */
  async logIn(mobile, device, { productType = 0, source = hostile, code = () => this.codeOf(mobile) } = {}) {
    await this.request("/auth/mobile/code", { companyType: 0, productType, mobile });
    const session = await this.request("/auth/mobile/login", { companyType: 0, productType, mobile, source, validateNo: await code() }, { "X-Device-Name": device });
    assert.ok(session, `login of ${mobile}`);
    return { id: session.userInfo.id, mobile, token: session.accessToken.value };
  }

  /** Opens a page whose errors, and requests to other origins than home, fail the test at its end. */
  async open(t, url, { home = this.admin, ...options } = {}) {
    const context = await this.browser.newContext({ locale: "en-US", viewport: { width: 1280, height: 860 }, ...options });
    const page = await context.newPage();
    const problems = [];
    page.on("pageerror", (error) => problems.push(String(error)));
    page.on("console", (line) => {
      if (line.type() === "error" && !line.text().startsWith("Failed to load resource")) problems.push(line.text());
    });
    page.on("request", (request) => {
      if (!request.url().startsWith(home) && !request.url().startsWith("blob:")) problems.push("another origin: " + request.url());
    });
    page.setDefaultTimeout(30_000);
    t.after(async () => {
      await context.close();
      assert.deepEqual(problems, []);
    });
    await page.goto(url);
    return page;
  }

  /** Opens a page of the console, signed in with the key unless it is "". */
  async console(t, path, { key = keys.admin, ...options } = {}) {
    const page = await this.open(t, this.admin + "/console/" + path, options);
    if (key) {
      await page.locator("#key").fill(key);
      await page.keyboard.press("Enter");
      await page.locator("header nav").waitFor();
    }
    return page;
  }
}

export async function accessible(page) {
  await page.evaluate(axe);
  const found = await page.evaluate(async () => (await globalThis.axe.run()).violations.filter(({ impact }) => impact === "serious" || impact === "critical"));
  assert.deepEqual(found.map(({ id, nodes }) => `${id}: ${nodes.map(({ html }) => html).join(" ")}`), []);
}

export async function narrowEnough(page) {
  const { scroll, client } = await page.evaluate(() => ({ scroll: document.documentElement.scrollWidth, client: document.documentElement.clientWidth }));
  assert.ok(scroll <= client, `${page.url()}: ${scroll} > ${client}`);
}

export async function harmless(page) {
  assert.doesNotMatch(await page.title(), /^run$/);
  assert.equal(await page.locator("img[src=x]").count(), 0);
}

export const picture = async (page, name) => pictures && page.screenshot({ path: join(pictures, name + ".png"), fullPage: true });

/** Takes a picture of README, in Chinese as that of PICTURE is, and beside it. */
export async function readme(page, name) {
  if (!process.env.PICTURE) return;
  await page.getByRole("button", { name: "中文" }).click();
  await page.setViewportSize({ width: 1180, height: 720 });
  await page.evaluate(() => scrollTo(0, 0));
  await page.screenshot({ path: join(dirname(process.env.PICTURE), name + ".png"), animations: "disabled" });
}

export const press = (page, name) => page.getByRole("button", { name, exact: true }).click();

/** Opens the dialog of an act. */
export async function act(page, button, reason) {
  await press(page, button);
  const dialog = page.getByRole("dialog");
  if (reason) await dialog.locator("[name=reason]").fill(reason);
  return dialog;
}

export const confirmed = (page, text) => page.locator(".notice", { hasText: text }).waitFor();
