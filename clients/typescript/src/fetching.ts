import type { Answer, Request } from "./types.js";

/** `Platform.send` over fetch. */
export async function send(request: Request): Promise<Answer> {
  const response = await open(request);
  const text = await response.text();
  return { status: response.status, header: (name) => response.headers.get(name), text };
}

/** `Platform.stream` over fetch: EventSource cannot send the header Authorization. */
export async function stream(request: Request, onEvent: (name: string, data: string) => void): Promise<Answer> {
  const response = await open(request);
  const header = (name: string) => response.headers.get(name);
  if (!response.body || !header("Content-Type")?.startsWith("text/event-stream")) {
    return { status: response.status, header, text: await response.text() };
  }
  const reader = response.body.pipeThrough(new TextDecoderStream()).getReader();
  let rest = "";
  for (;;) {
    const { done, value } = await reader.read();
    if (done) return { status: response.status, header, text: "" };
    const blocks = (rest + value.replaceAll("\r", "")).split("\n\n");
    rest = blocks.pop() ?? "";
    for (const block of blocks) {
      const field = (name: string) =>
        block.split("\n").filter((line) => line.startsWith(name + ":")).map((line) => line.slice(name.length + 1).trimStart()).join("\n");
      if (field("data")) onEvent(field("event") || "message", field("data"));
    }
  }
}

function open({ url, method, headers, body, timeout, signal }: Request): Promise<Response> {
  const signals = [signal, timeout ? AbortSignal.timeout(timeout) : undefined].filter((s) => s !== undefined);
  return fetch(url, {
    method, headers, body: body ?? null, cache: "no-store", credentials: "omit", redirect: "error",
    signal: signals.length ? AbortSignal.any(signals) : null,
  });
}
