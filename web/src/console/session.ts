// The key is in this tab's session storage alone, and goes after half an hour without a touch.
const name = "menshen.console.key";
const idle = 30 * 60_000, often = 10_000;

interface Kept { key: string; at: number }

export function keptKey(): string | null {
  try {
    const kept = JSON.parse(sessionStorage.getItem(name) ?? "null") as Kept | null;
    if (kept && Date.now() - kept.at < idle) return kept.key;
  } catch { /* of another form */ }
  forget();
  return null;
}

export const keep = (key: string) => sessionStorage.setItem(name, JSON.stringify({ key, at: Date.now() } satisfies Kept));
export const forget = () => sessionStorage.removeItem(name);

/** Calls onEnd once the operator has been away for too long. */
export function watchIdle(onEnd: () => void): () => void {
  let touched = 0;
  const touch = () => {
    if (Date.now() - touched < often) return;
    const key = keptKey();
    if (!key) return onEnd();
    touched = Date.now();
    keep(key);
  };
  const look = () => { if (!keptKey()) onEnd(); };
  const touches = ["pointerdown", "keydown", "wheel", "touchmove"];
  for (const kind of touches) addEventListener(kind, touch, { passive: true });
  document.addEventListener("visibilitychange", look);
  const timer = setInterval(look, often);
  return () => {
    for (const kind of touches) removeEventListener(kind, touch);
    document.removeEventListener("visibilitychange", look);
    clearInterval(timer);
  };
}
