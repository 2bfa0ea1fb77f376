import { claims } from "menshen-client/core";
import type { Phone } from "./phone";
import { tell } from "./story";

/**
 * Seconds until an older pair is no longer forgiven: token.reuse_grace, and one more. A service
 * with another grace is demonstrated with /demo?grace=.
 */
const grace = Number(new URLSearchParams(location.search).get("grace")) || 31;

const zhSide = (phone: Phone) => (phone.side === "left" ? "左边" : "右边");
const enSide = (phone: Phone) => (phone.side === "left" ? "The left phone" : "The right phone");

export async function refresh(phone: Phone): Promise<void> {
  if (!(await phone.act(() => phone.client.refresh()))) return;
  const generation = claims(phone.client.accessToken ?? "").gen;
  tell(`${zhSide(phone)}刷新了访问令牌，会话进入第 ${generation} 代；旧令牌不再是最新。`, `${enSide(phone)} refreshed its access token: generation ${generation}. The old token is no longer the newest.`);
}

export async function loseAnswer(phone: Phone): Promise<void> {
  phone.set({ loseNext: true });
  if (await phone.act(() => phone.client.refresh()))
    tell(`刷新的响应在途中丢失。${zhSide(phone)}用同一对令牌再问一次，得到同一个新令牌，没有被登出。`, `The answer was lost on its way. ${enSide(phone)} asked again with the same pair and got the same new token: nobody is logged out.`, "good");
  phone.set({ loseNext: false });
}

export async function twoTabs(phone: Phone): Promise<void> {
  const tab = phone.tab();
  let tokens: string[] = [];
  if (await phone.act(async () => (tokens = await Promise.all([phone.client.refresh(), tab.refresh()]))))
    tell(`两个标签页同时刷新，${tokens[0] === tokens[1] ? "得到同一个新令牌" : "各得到一个有效令牌"}，不需要加锁。`, `Two tabs refreshed at once and got ${tokens[0] === tokens[1] ? "the same new token" : "a good token each"}, without a lock.`, "good");
}

/** A thief copies the pair, and uses it once the phone has gone on and the grace is over. */
export async function stealPair(phone: Phone, onCount: (seconds: number) => void): Promise<void> {
  const record = JSON.parse(sessionStorage.getItem("menshen.demo." + phone.side) ?? "{}") as { access: string; refresh: string };
  const stolen = { accessToken: record.access, refreshToken: record.refresh };
  const id = phone.session?.id;
  const went = await phone.act(async () => {
    await phone.client.refresh();
    await phone.client.me();
  });
  if (!went) return;
  tell(`小偷复制了${zhSide(phone)}的令牌对；手机自己刷新并继续使用。${grace} 秒后（宽限期过后）小偷动手。`, `A thief copied the pair. The phone refreshed and went on. In ${grace} seconds, after the grace, the thief uses the copy.`);
  for (let left = grace; left > 0 && phone.step === "home" && phone.session?.id === id; left--) {
    onCount(left);
    await new Promise((done) => setTimeout(done, 1000));
  }
  onCount(0);
  if (phone.step !== "home" || phone.session?.id !== id) return;
  await phone.as("thief", "/app/auth/token/refresh", stolen);
  tell("小偷用了旧令牌对：服务发现重放，立刻结束整个会话。小偷什么也没得到，机主收到通知。", "The thief used the old pair. The service saw the replay and ended the session: the thief has nothing, and the owner is told.", "bad");
}

/** A stranger without the ticket tries codes for the number, the right one last. */
export async function guess(phone: Phone): Promise<void> {
  const right = phone.message?.code;
  let refused = 0;
  const tried = await phone.act(async () => {
    for (let i = 0; i < 5; i++) refused += Number((await strangerLogin(phone, wrong(right, i))) !== 0);
    if (right) refused += Number((await strangerLogin(phone, right)) !== 0);
  });
  if (tried)
    tell(`陌生人试了 ${refused} 次都被拒绝${right ? "，最后一次是正确的验证码" : ""}：没有票据的尝试次数已用完。您的手机保存着票据（X-Code-Ticket），仍可登录。`, `A stranger tried ${refused} times and was refused each time${right ? ", at last with the right code" : ""}: attempts without a ticket are used up. Your phone keeps the ticket (X-Code-Ticket) and can still log in.`, "good");
}

function strangerLogin(phone: Phone, validateNo: string): Promise<number> {
  return phone.as("stranger", "/auth/mobile/login", { companyType: 0, productType: 0, source: "stranger", mobile: phone.mobile, validateNo });
}

/** The i-th code that is as long as the right one and is not the right one. */
function wrong(right: string | undefined, i: number): string {
  const length = right?.length ?? 6;
  const code = String(i + 1).repeat(length).slice(0, length);
  return code === right ? "0".repeat(length) : code;
}

export async function logoutOthers(phone: Phone, other: Phone): Promise<void> {
  const before = other.step === "home";
  if (!(await phone.logout("others"))) return;
  if (before) tell(`${zhSide(phone)}退出了其他设备，只留下自己。`, `${enSide(phone)} logged out the other devices and stays.`);
  else tell("没有其他设备在线。让另一台手机以“电脑”产品登录，两台可同时在线，再试一次。", "No other device is logged in. Log in on the other phone as product PC, so that both stay, and try again.");
}

/** An act of an operator on the account. */
export async function operate(user: number, act: "ban" | "unban" | "kick"): Promise<void> {
  const answer = await fetch(`/dev/users/${user}/${act}`, {
    method: "POST", headers: { "Content-Type": "application/json" }, body: JSON.stringify({ reason: "demo" }),
  });
  if (!answer.ok) return;
  if (act === "ban") tell("管理员封禁了账号：所有会话立即结束，验证码正确也不能登录。", "An operator banned the account: all sessions ended at once, and a right code does not log in.", "bad");
  if (act === "unban") tell("管理员解除了封禁，可以重新登录。", "An operator lifted the ban: the account can log in again.", "good");
  if (act === "kick") tell("管理员踢下线：会话结束，账号仍可登录。", "An operator kicked the account: its sessions ended, and it can log in again.");
}
