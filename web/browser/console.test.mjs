// The console in a real browser, on the real program: `make web-test`.
import assert from "node:assert/strict";
import { readFileSync } from "node:fs";
import { after, before, test } from "node:test";
import { accessible, act, confirmed, harmless, hostile, keys, narrowEnough, picture, press, start } from "./desk.mjs";

let desk, person;

before(async () => {
  desk = await start();
  person = await desk.logIn("13800138000", "Pixel 9");
});

after(() => desk?.close());

test("signing in: a wrong key, a right one, and what stays of it", async (t) => {
  const page = await desk.console(t, "", { key: "" });
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
  const context = await desk.browser.newContext({ locale: "en-US" });
  t.after(() => context.close());
  const page = await context.newPage();
  await page.clock.install();
  await page.goto(desk.admin + "/console/");
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
  const page = await desk.console(t, "");
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
  const other = await desk.logIn("13800138001", "Phone one");
  const page = await desk.console(t, `#/users/${other.id}`);
  await page.getByText("● live").waitFor();
  await page.getByText("Phone one").first().waitFor();
  await desk.ask(`/admin/users/${other.id}/kick`, "POST", { reason: "from elsewhere" });
  await page.getByText("from elsewhere").waitFor();
  await page.getByText("No device is logged in.").waitFor();
});

/** Waits for a page of the console with all that it loads. */
const shown = (page, path) => page.waitForFunction((at) => {
  const current = document.querySelector('nav a[aria-current="page"]')?.getAttribute("href");
  return current === "#/" + at && document.querySelector("main h1") && !/正在读取|查找中/.test(document.body.innerText);
}, path.split(/[/?]/)[0].replace("users", "find"));

test("hostile names, devices and reasons are text everywhere, also at 360 px", async (t) => {
  const victim = await desk.logIn("13800138002", hostile);
  await desk.call(desk.site + "/app/auth/user", "PATCH", { nickName: "<img src=x onerror=alert(1)>".slice(0, 32), realName: hostile }, { Authorization: `Bearer ${victim.token}` });
  await desk.ask(`/admin/users/${victim.id}/ban`, "POST", { reason: hostile.repeat(5) });
  await desk.logIn("13800138003", "A".repeat(64));
  for (const colorScheme of ["light", "dark"]) {
    const page = await desk.console(t, "", { viewport: { width: 360, height: 760 }, colorScheme });
    await press(page, "中文");
    for (const path of [`users/${victim.id}`, "find", "overview", "audit", "messages", "health", "simulator", `find?id=${victim.id}`]) {
      await page.goto(`${desk.admin}/console/#/${path}`);
      await shown(page, path);
      await narrowEnough(page);
      await harmless(page);
      await accessible(page);
      await picture(page, `narrow-${colorScheme}-${path.split(/[/?]/)[0]}`);
    }
    assert.equal(await page.getAttribute("html", "lang"), "zh-CN");
  }
});

test("audit: filters, live lines and a file", async (t) => {
  const page = await desk.console(t, "#/audit");
  await page.locator(".events li").first().waitFor();
  await picture(page, "audit");
  await page.locator("[name=kind]").selectOption("ban");
  await press(page, "Filter");
  await page.locator('.events li[data-kind="ban"]').first().waitFor();
  assert.equal(await page.locator('.events li:not([data-kind="ban"])').count(), 0);
  await page.getByText("● live").waitFor();
  const lines = await page.locator(".events li").count();
  await desk.ask(`/admin/users/${person.id}/ban`, "POST", { reason: "=live()" });
  await page.getByText("=live()").waitFor();
  assert.equal(await page.locator(".events li").count(), lines + 1);
  const [file] = await Promise.all([page.waitForEvent("download"), press(page, "Download CSV")]);
  const text = readFileSync(await file.path(), "utf8");
  assert.match(text, /^\ufeffid,at,kind,/);
  assert.match(text, /=live\(\)/);
});

test("overview, health and simulator", async (t) => {
  const page = await desk.console(t, "#/overview");
  await page.getByText("Codes sent", { exact: true }).waitFor();
  await accessible(page);
  await picture(page, "overview");
  await page.goto(desk.admin + "/console/#/health");
  await page.getByText("Signing keys").waitFor();
  await page.locator(".config summary", { hasText: "admin" }).click();
  assert.ok(!(await page.content()).includes(keys.admin));
  await accessible(page);
  await picture(page, "health");
  const someone = await desk.logIn("13800138004", "Old phone");
  await page.goto(`${desk.admin}/console/#/simulator?userId=${someone.id}`);
  await press(page, "Simulate");
  await page.getByText("Old phone").waitFor();
  await accessible(page);
  await picture(page, "simulator");
});

test("a number without an account, and an unknown page", async (t) => {
  const page = await desk.console(t, "#/nothing");
  await page.locator("#search").fill("１３９ ００１３ ９０００");
  await page.keyboard.press("Enter");
  await page.getByText("This number has no account").waitFor();
  assert.ok(!page.url().includes("139"));
  await accessible(page);
  await picture(page, "number");
});

test("a role is offered only what it may do", async (t) => {
  const someone = await desk.logIn("13800138005", "Some phone");
  const wanted = { read: [], support: ["unlock", "kick", "ban"], admin: ["unlock", "kick", "ban", "mobile", "export", "delete"] };
  for (const [role, acts] of Object.entries(wanted)) {
    const page = await desk.console(t, `#/users/${someone.id}`, { key: keys[role] });
    await page.locator(".person").waitFor();
    assert.deepEqual(await page.locator(".acts-bar button").evaluateAll((buttons) => buttons.map(({ dataset }) => dataset.act)), acts);
    await page.getByText("Some phone").first().waitFor();
  }
});
