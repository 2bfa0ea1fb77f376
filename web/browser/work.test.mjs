// Operators at work: what they click, and what the phones of those people show.
import assert from "node:assert/strict";
import { execFile } from "node:child_process";
import { readFileSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { after, before, test } from "node:test";
import { promisify } from "node:util";
import { accessible, act, confirmed, keys, picture, press, readme, start } from "./desk.mjs";

let desk;
before(async () => { desk = await start(); });
after(() => desk?.close());

/** A phone of the demo, in a page of its own. */
async function demoPhone(t) {
  const page = await desk.open(t, desk.site + "/demo", { home: desk.site });
  const phone = page.locator("[data-side=left]");
  const logIn = async () => {
    await phone.getByRole("button", { name: "Get a code" }).click();
    await phone.locator(".fill").click();
  };
  return {
    page, logIn, number: await phone.locator(".mobile b").textContent(), is: (state) => page.locator(`[data-session=left][data-state=${state}]`).waitFor(),
    shows: (text) => phone.getByText(text).first().waitFor(), press: (name) => phone.getByRole("button", { name }).click(),
  };
}

test("find, unlock, kick, ban and lift the ban, watched by a phone", async (t) => {
  const phone = await demoPhone(t);
  await phone.logIn();
  await phone.is("active");
  const page = await desk.console(t, "");
  await page.locator("#search").fill(phone.number);
  await page.keyboard.press("Enter");
  await page.getByText("● live").waitFor();
  await page.getByRole("heading", { name: "Live sessions 1" }).waitFor();
  await (await act(page, "Unlock", "owner called")).getByRole("button", { name: "Unlock" }).click();
  await confirmed(page, "limit");
  await phone.is("active");

  const asked = [];
  phone.page.on("request", (request) => asked.push(new URL(request.url()).pathname));
  await (await act(page, "Kick all", "lost phone")).getByRole("button", { name: "Kick all" }).click();
  await phone.shows("An operator ended your session");
  assert.deepEqual(asked.filter((path) => /check-login-status|token\/refresh/.test(path)), [], "the phone asked, and was not told");
  await phone.is("kicked");
  await page.getByText("No device is logged in.").waitFor();

  await phone.logIn();
  await page.getByRole("heading", { name: "Live sessions 1" }).waitFor();
  await (await act(page, "Ban", "fraud")).getByRole("button", { name: "Ban", exact: true }).click();
  await phone.shows("An operator banned your account");
  await page.locator(".reasons .bad", { hasText: "fraud" }).waitFor();
  await phone.logIn();
  await phone.page.locator("[data-side=left] .refusal:not(:empty)").waitFor();
  await (await act(page, "Lift the ban")).getByRole("button", { name: "Lift the ban" }).click();
  await page.locator(".reasons .good").waitFor();
  await phone.logIn();
  await phone.is("active");

  await page.getByRole("heading", { name: "Live sessions 1" }).waitFor();
  await phone.press(/^Log out ends/);
  await page.getByText("No device is logged in.").waitFor();
  await page.locator('.events li[data-kind="logout"]').first().waitFor();
});

test("a ticket links to a person by the company's own id", async (t) => {
  const person = await desk.logIn("13800138020", "Ticket phone");
  await desk.ask(`/admin/users/${person.id}`, "PATCH", { externalId: "crm/77 ü" });
  const page = await desk.console(t, `#/find?externalId=${encodeURIComponent("crm/77 ü")}`);
  await page.waitForURL(`**/console/#/users/${person.id}`);
  await page.getByText("Ticket phone").first().waitFor();
  const other = await desk.console(t, "#/find?externalId=nothing");
  await other.getByText("There is no such number, id or externalId").waitFor();
});

test("a number is changed, the data exported, the account deleted", async (t) => {
  const person = await desk.logIn("13800138030", "First phone");
  const page = await desk.console(t, `#/users/${person.id}`);
  await page.getByText("● live").waitFor();

  const change = await act(page, "Change number", "lost the card");
  await change.getByLabel("New number", { exact: true }).fill("139 0013 8031");
  await press(change, "Send code");
  await change.getByText("The code was sent to the new number.").waitFor();
  await change.getByLabel("Code that the new number received").fill(await desk.codeOf("13900138031"));
  await accessible(page);
  await change.getByRole("button", { name: "Change number" }).click();
  await confirmed(page, "The number is changed");
  await page.locator(".number", { hasText: "139****8031" }).waitFor();
  await page.getByText("No device is logged in.").waitFor();

  const [file] = await Promise.all([page.waitForEvent("download"), (await act(page, "Export")).getByRole("button", { name: "Export" }).click()]);
  const data = JSON.parse(readFileSync(await file.path(), "utf8"));
  assert.equal(data.user.mobile, "13900138031");
  assert.ok(data.events.some(({ kind }) => kind === "number_changed"));

  await (await act(page, "Delete", "asked for it")).getByRole("button", { name: "Delete" }).click();
  await confirmed(page, "Deleted");
  await page.locator(".person .chip", { hasText: "deleted" }).waitFor();
  assert.deepEqual(await page.locator(".acts-bar button").evaluateAll((buttons) => buttons.map(({ dataset }) => dataset.act)), ["export"]);
});

test("every act shows its consequences, its curl and its command", async (t) => {
  const person = await desk.logIn("13800138040", "Some phone");
  const page = await desk.console(t, `#/users/${person.id}`);
  const on = `/admin/users/${person.id}`, cli = `menshen user`;
  const wanted = {
    unlock: [`POST ${on}/unlock`, "menshen unlock NUMBER -reason"], kick: [`POST ${on}/kick`, `${cli} kick ${person.id} -reason`], ban: [`POST ${on}/ban`, `${cli} ban ${person.id} -reason`],
    mobile: [`POST ${on}/code`, `${cli} code ${person.id} NUMBER`, `POST ${on}/mobile`, `${cli} mobile ${person.id} NUMBER -code`], export: [`GET ${on}/export`, `${cli} export ${person.id}`],
    delete: [`DELETE ${on}`, `${cli} delete ${person.id} -reason`],
  };
  const shown = async (button) => {
    await button.click();
    const dialog = page.getByRole("dialog");
    await dialog.locator(".consequences li").first().waitFor();
    await dialog.locator(".stands-for summary").click();
    const lines = await dialog.locator(".stands-for pre").allTextContents();
    await press(dialog, "Cancel");
    return lines.map((line) => line.replace(new RegExp(`^curl -X (\\w+) ${desk.admin}(\\S+)[^]*`), "$1 $2"));
  };
  await page.locator(".person").waitFor();
  for (const [name, starts] of Object.entries(wanted)) {
    const lines = await shown(page.locator(`.acts-bar [data-act=${name}]`));
    assert.equal(lines.length, starts.length, `${name}: ${lines}`);
    starts.forEach((start, i) => assert.ok(lines[i].startsWith(start), `${name}: ${lines[i]}`));
  }
  const one = await shown(page.locator(".session-row [data-act=kick]"));
  assert.match(one[1], /^menshen user kick \d+ -reason '' -session \w{26}$/);
  await desk.ask(`${on}/ban`, "POST", { reason: "x" });
  assert.deepEqual(await shown(page.locator("[data-act=unban]")), [`POST ${on}/unban`, `menshen user unban ${person.id}`]);
  await page.goto(`${desk.admin}/console/#/simulator?userId=${person.id}`);
  await press(page, "Simulate");
  await page.locator(".stands-for summary").click();
  assert.match(await page.locator(".stands-for pre").textContent(), /\/admin\/simulate/);
});

test("the role read sees everything and is offered nothing it may not do", async (t) => {
  const person = await desk.logIn("13800138050", "Seen phone");
  const page = await desk.console(t, `#/users/${person.id}`, { key: keys.read });
  await page.getByText("Seen phone").first().waitFor();
  const refused = [];
  page.on("response", (response) => { if (response.status() === 403) refused.push(response.url()); });
  const ready = {
    [`users/${person.id}`]: ".session-row", "find?id=404404": ".empty-line", overview: ".tiles", audit: ".events li", messages: ".events li", health: ".checks li", [`simulator?userId=${person.id}`]: ".filters button",
  };
  for (const [path, sign] of Object.entries(ready)) {
    await page.goto(`${desk.admin}/console/#/${path}`);
    await page.locator(sign).first().waitFor();
    assert.equal(await page.locator("[data-act]").count(), 0, path);
  }
  await press(page, "Simulate");
  await page.getByText("The login would succeed.").waitFor();
  await page.goto(`${desk.admin}/console/#/find`);
  await page.locator("#search").fill("13900138059"); // without an account
  await page.keyboard.press("Enter");
  await page.getByText("This number has no account").waitFor();
  assert.equal(await page.locator("[data-act]").count(), 0);
  assert.deepEqual(refused, []);
});

test("ten thousand lines of the audit are scrolled through", async (t) => {
  const people = 10_000, file = join(desk.folder, "people.csv");
  writeFileSync(file, "companyType,mobile\n" + Array.from({ length: people }, (_, i) => `0,137${String(i).padStart(8, "0")}\n`).join(""));
  await promisify(execFile)(desk.file, ["import", file], { env: desk.env });
  const page = await desk.console(t, "#/audit?kind=user_created");
  page.setDefaultTimeout(300_000);
  await page.evaluate(() => { // each line that was shown at some time
    globalThis.shown = new Set();
    const note = () => document.querySelectorAll(".events li a").forEach(({ hash }) => globalThis.shown.add(hash));
    new MutationObserver(note).observe(document.body, { childList: true, subtree: true });
  });
  await page.locator(".events li").first().waitFor();
  await page.waitForFunction((wanted) => {
    scrollTo(0, document.documentElement.scrollHeight);
    return globalThis.shown.size >= wanted;
  }, people);
  await page.getByText(`${people} lines, and no more`).waitFor();
  await page.waitForFunction(() => document.querySelectorAll(".events li").length < 1000); // the others are gaps
  const person = await desk.ask("/admin/users", "POST", { companyType: 0, mobile: "13600136000" });
  await page.getByText(`${people + 1} lines, and no more`).waitFor(); // it still hears
  await page.evaluate(() => scrollTo(0, 0));
  await page.locator(".events li").first().locator(`a[href="#/users/${person.id}"]`).waitFor();
  await page.locator("[name=kind]").selectOption("config_changed"); // and it still acts
  await press(page, "Filter");
  await page.getByText("No events.").waitFor();
});

test("the overview shows the way of a day and its vendors", async (t) => {
  await desk.logIn("13800138060", "Chart phone", { source: "campaign" });
  const page = await desk.console(t, "#/overview");
  await page.getByRole("row", { name: /^campaign 1 1 –$/ }).waitFor();
  await page.getByRole("row", { name: /^log · CN/ }).waitFor();
  for (const [name, step] of [["1 hour", "minute"], ["7 days", "day"], ["30 days", "day"], ["24 hours", "hour"]]) {
    const [asked] = await Promise.all([page.waitForRequest(/admin\/stats/), press(page, name)]);
    assert.equal(new URL(asked.url()).searchParams.get("step"), step);
    await page.locator(`.segments [aria-pressed=true]`, { hasText: name }).waitFor();
    await page.getByRole("row", { name: /^campaign/ }).waitFor();
  }
  await accessible(page);
  await picture(page, "overview");
});

/** The figures of a day that has everything, the alarms in its last hour. */
function aDay(raised) {
  const hour = 3_600_000, last = Math.floor(Date.now() / hour);
  const items = Array.from({ length: 24 }, (_, i) => {
    const n = Math.round(60 + 50 * Math.sin((i - 6) / 3.8) + ((i * 7) % 11)), part = (source, count, productType = 0) => ({ productType, source, count });
    const vendor = (provider, region, sent, share, price) => ({ provider, region, sent, delivered: Math.round(sent * 0.97), failed: Math.round(sent * 0.02), redeemed: Math.round(sent * share), cost: sent * price });
    const logins = [part("ios", Math.round(n * 0.4)), part("android", Math.round(n * 0.35)), part("web", Math.round(n * 0.12), 1)], redeemed = logins.reduce((sum, { count }) => sum + count, 0);
    const vendors = [vendor("aliyun", "CN", n, i > 20 ? 0.55 : 0.9, 0.045), vendor("twilio", "HK", Math.round(n / 5), 0.84, 0.4)];
    return {
      from: new Date((last - 23 + i) * hour).toISOString(), codes: { sent: Math.round(n * 1.2), redeemed, failed: i % 5, cost: vendors[0].cost + vendors[1].cost, costPerRedeemed: 0.1 }, logins,
      registrations: [part("ios", n >> 3), part("android", n >> 4)], returned: i < 1 ? [part("ios", 2)] : [], vendors, displaced: i % 4, kicked: i % 3 ? 0 : 1, reuse: 0, events: i === 23 ? raised : {},
    };
  });
  return { items, activeSessions: { 0: 1840, 1: 322 } };
}

test("each alarm says what it is about, and what to do", async (t) => {
  const page = await desk.console(t, "#/find");
  const raised = { pumping: 2, conversion_low: 1, reuse: 1, kick_war: 1, denied: 1 };
  const line = { userId: null, sessionId: "", actor: "system", ip: "", device: "", requestId: "", text: { zh: "文字", en: "the event" } };
  await page.route(/admin\/stats/, async (route) => {
    const answer = await (await route.fetch()).json();
    Object.assign(answer.data, aDay(raised));
    await route.fulfill({ json: answer });
  });
  await page.route(/admin\/audit\?kind=/, async (route) => {
    const kind = new URL(route.request().url()).searchParams.get("kind"), at = new Date().toISOString();
    const items = kind === "pumping" ? [{ what: "budget", sent: "80" }, { what: "prefix", key: "+86138" }] : [{ about: kind }];
    await route.fulfill({ json: { code: 0, msg: "", data: { items: items.map((detail, i) => ({ ...line, id: i + 1, at, kind, detail })), next: null } } });
  });
  await page.goto(desk.admin + "/console/#/overview");
  for (const [name, about] of Object.entries({ pumping: "+86138", budget: "80", conversion_low: "conversion_low", reuse: "reuse", kick_war: "kick_war", denied: "denied" })) {
    const alarm = page.locator(`[data-alarm=${name}]`);
    await alarm.locator("bdi").getByText(about, { exact: true }).waitFor();
    assert.equal(await alarm.locator(".chip").first().textContent(), "1");
    assert.ok((await alarm.locator("p").first().textContent()).length > 60); // what to do
    assert.equal(await alarm.locator(`a[href^="#/audit?kind="]`).count(), 1);
  }
  await accessible(page);
  await page.goto(desk.admin + "/console/#/find");
  for (const kind of Object.keys(raised)) delete raised[kind];
  await page.goto(desk.admin + "/console/#/overview");
  await page.getByText("No alarms.").waitFor();
  await readme(page, "overview");
  raised.reuse = 1;
  await page.route(/admin\/audit\?kind=/, (route) => route.fulfill({ status: 503, json: { code: 50300, msg: "busy", data: null } }));
  await page.goto(desk.admin + "/console/#/find");
  await page.goto(desk.admin + "/console/#/overview");
  await page.getByText("The alarms cannot be read").waitFor(); // the figures can
  await page.getByText("2,162").first().waitFor();
});
