import type { components } from "./api.js";

type Schemas = components["schemas"];

export type Login = Schemas["MobileLoginResp"];
export type UserInfo = Schemas["UserInfo"];
export type UserPatch = Schemas["UserPatch"];
export type SessionItem = Schemas["SessionItem"];
export type EndedSessionItem = Schemas["EndedSessionItem"];
export type CodeSent = Schemas["CodeResp"];
export type Purpose = Schemas["CodeReq"]["purpose"];

/** A challenge that must be completed before a code is sent. */
export type Challenge = NonNullable<Schemas["ChallengeFailure"]["data"]>["challenge"];

/** Every refusal with data; `code` narrows `data`. Others have `data: null`. */
export type Refusal =
  | Schemas["MalformedFailure"]
  | Schemas["ChallengeFailure"]
  | Schemas["DisplacedFailure"]
  | Schemas["EndedFailure"]
  | Schemas["BannedFailure"]
  | Schemas["DeviceLimitFailure"];

/** Why the device is not logged in any more. `invalid`: the service does not know its tokens. */
export interface Ended {
  reason: Schemas["EndReason"] | "device_mismatch" | "invalid";
  /** The newest login in this product group, if known. */
  lastLoginTime: string | null;
  /** Label of the device that took its place, if known. */
  by: string | null;
}

/** One request, as a platform sends it. */
export interface Request {
  method: string;
  url: string;
  headers: Record<string, string>;
  body?: string;
  /** Milliseconds until the platform gives up. */
  timeout: number;
  signal?: AbortSignal;
}

/** What came back. A platform that got no answer rejects instead. */
export interface Answer {
  status: number;
  header(name: string): string | null;
  text: string;
}

/** What a platform offers. See browser.ts, node.ts and wechat.ts. */
export interface Platform {
  send(request: Request): Promise<Answer>;
  /**
   * Reads and writes the one record of this client. Both are synchronous, so that no other
   * tab comes between a comparison and the write that depends on it.
   */
  read(): string | null;
  write(record: string): void;
  /** Opens an event stream and resolves when it ends. Left out: a held check is used. */
  stream?(request: Request, onEvent: (name: string, data: string) => void): Promise<Answer>;
  /** A new random text, the device's number. */
  random(): string;
}
