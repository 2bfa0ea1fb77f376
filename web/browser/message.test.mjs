// The life of a message, from accepted to delivered, as support sees it.
import assert from "node:assert/strict";
import { createHmac, randomBytes } from "node:crypto";
import { createServer } from "node:http";
import { after, before, test } from "node:test";
import { picture, press, readme, start } from "./desk.mjs";

const secret = randomBytes(24), sent = [];
let desk, gateway;

before(async () => {
  gateway = createServer(async (request, response) => {
    let text = "";
    for await (const part of request) text += part;
    sent.push({ ...JSON.parse(text), id: request.headers["webhook-id"] });
    response.end("{}");
  });
  await new Promise((ready) => gateway.listen(0, "127.0.0.1", ready));
  desk = await start({
    MENSHEN_SMS_PROVIDER: "webhook", MENSHEN_SMS_WEBHOOK_URL: `http://127.0.0.1:${gateway.address().port}/`, MENSHEN_SMS_WEBHOOK_SECRET: `whsec_${secret.toString("base64")}`,
    MENSHEN_SMS_PRICES: JSON.stringify([{ provider: "webhook", region: "CN", segment: 0.045 }]),
  });
});
after(async () => { await desk?.close(); gateway.close(); });

/** Posts a receipt as the gateway would, signed as Standard Webhooks wants. */
async function report(message, state, reason) {
  const body = JSON.stringify({ id: message.id, state, reason }), id = "receipt_" + message.id, at = Math.floor(Date.now() / 1000);
  const signature = createHmac("sha256", secret).update(`${id}.${at}.${body}`).digest("base64");
  const answer = await fetch(desk.site + "/hooks/sms/webhook", { method: "POST", body, headers: { "Content-Type": "application/json", "webhook-id": id, "webhook-timestamp": String(at), "webhook-signature": `v1,${signature}` } });
  assert.equal(answer.status, 200);
}

test("from accepted to delivered, and the reason why a code did not come", async (t) => {
  const person = await desk.logIn("13800138070", "iPhone 16", { source: "ios", code: async () => sent.at(-1).code });
  await desk.ask(`/admin/users/${person.id}`, "PATCH", { nickName: "林小满", externalId: "crm-20771" });
  const page = await desk.console(t, `#/users/${person.id}`);
  await page.getByText("● live").waitFor();
  const messages = page.getByRole("region", { name: "Messages" });
  await messages.locator("li[data-state=accepted]", { hasText: "code used" }).waitFor();
  await report(sent.at(-1), "delivered");
  await messages.locator("li[data-state=delivered]").waitFor();
  await page.locator('.events li[data-kind="receipt"]').first().waitFor();

  const before = sent.length;
  await desk.ask(`/admin/users/${person.id}/unlock`, "POST", { reason: "no pause between two codes" });
  await desk.request("/auth/mobile/code", { companyType: 0, productType: 0, mobile: person.mobile });
  assert.equal(sent.length, before + 1);
  await messages.locator("li[data-state=accepted]").waitFor();
  await report(sent.at(-1), "undelivered", "DELIVRD_FAIL");
  await messages.locator("li[data-state=undelivered]", { hasText: "DELIVRD_FAIL" }).waitFor();

  await readme(page, "console");

  // From the start to the reason, and a kick, within four clicks.
  const first = await desk.console(t, "");
  await first.evaluate(() => { globalThis.clicks = 0; addEventListener("pointerdown", () => { globalThis.clicks++; }, true); });
  await first.locator("#search").fill(person.mobile);
  await first.getByRole("search").getByRole("button").click();
  await first.locator(".reasons .bad", { hasText: "The last message" }).waitFor();
  await press(first, "Kick all");
  await press(first.getByRole("dialog"), "Lost phone");
  await press(first.getByRole("dialog"), "Kick all");
  await first.getByText("No device is logged in.").waitFor();
  assert.ok(await first.evaluate(() => globalThis.clicks) <= 4);
  await picture(first, "undelivered");

  await first.goto(desk.admin + "/console/#/messages");
  await first.locator("[name=state]").selectOption("undelivered");
  await press(first, "Filter");
  await first.locator("li[data-state=undelivered]").waitFor();
  assert.equal(await first.locator(".events li").count(), 1);
  await first.goto(desk.admin + "/console/#/overview");
  await first.getByRole("row", { name: "webhook · CN 2 1 1 50 % 0.09 0.0900" }).waitFor();
});
