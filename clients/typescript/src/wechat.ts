import { Menshen, type Options } from "./core.js";
import type { Answer, Platform } from "./types.js";

export * from "./core.js";

/** The parts of WeChat's `wx` that are used. */
export interface Wx {
  request(options: {
    url: string; method: string; header: Record<string, string>; data?: string; timeout: number; dataType: "text"; responseType: "text";
    success(result: { statusCode: number; data: unknown; header: Record<string, string> }): void;
    fail(error: { errMsg: string }): void;
  }): { abort(): void };
  getStorageSync(key: string): unknown;
  setStorageSync(key: string, value: string): void;
}

/**
 * The platform of a mini program. `wx.request` cannot read a stream that lasts, so the end of
 * the session comes by a held check. A mini program has no PATCH: `change` is refused.
 */
export function wechat(wx: Wx, name = "menshen"): Platform {
  return {
    send: ({ url, method, headers, body, timeout, signal }) =>
      new Promise<Answer>((resolve, reject) => {
        const task = wx.request({
          url, method, header: headers, timeout, dataType: "text", responseType: "text", ...(body === undefined ? {} : { data: body }),
          success({ statusCode, data, header }) {
            const lower = Object.fromEntries(Object.entries(header).map(([key, value]) => [key.toLowerCase(), value]));
            resolve({
              status: statusCode, header: (wanted) => lower[wanted.toLowerCase()] ?? null,
              text: typeof data === "string" ? data : JSON.stringify(data),
            });
          },
          fail: ({ errMsg }) => reject(new Error(errMsg)),
        });
        signal?.addEventListener?.("abort", () => task.abort(), { once: true });
      }),
    read: () => (wx.getStorageSync(name) as string) || null,
    write: (record) => wx.setStorageSync(name, record),
    // No proof of anything, so its randomness need not be strong; wx.getRandomValues answers later.
    random: () => "wx-" + Date.now().toString(36) + Array.from({ length: 4 }, () => Math.random().toString(36).slice(2, 10)).join(""),
  };
}

/** A client for a mini program: `connect(wx, {…})`. */
export function connect(wx: Wx, options: Options): Menshen {
  return new Menshen(wechat(wx), options);
}
