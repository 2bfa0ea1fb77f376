import { Menshen, type Options } from "./core.js";
import { send, stream } from "./fetching.js";
import type { Platform } from "./types.js";

export * from "./core.js";

/** The platform of a browser. All tabs of an origin share the record of one name. */
export function browser(name = "menshen", storage: Storage = localStorage): Platform {
  return {
    send, stream,
    read: () => storage.getItem(name),
    write: (record) => storage.setItem(name, record),
    random: () => "web-" + Array.from(crypto.getRandomValues(new Uint8Array(16)), (b) => b.toString(16).padStart(2, "0")).join(""),
  };
}

/** A client for a page. */
export function connect(options: Options, platform: Platform = browser()): Menshen {
  return new Menshen(platform, options);
}

/** Reads a code that arrives by SMS (WebOTP), null where the browser cannot or the user refuses. */
export async function codeFromMessage(signal?: AbortSignal): Promise<string | null> {
  if (!("OTPCredential" in globalThis)) return null;
  const request = { otp: { transport: ["sms"] }, ...(signal ? { signal } : {}) } as CredentialRequestOptions;
  const credential = await navigator.credentials.get(request).catch(() => null);
  return (credential as { code?: string } | null)?.code ?? null;
}
