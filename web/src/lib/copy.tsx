import { useState } from "preact/hooks";
import { useTranslate } from "./language";

export function Copy({ text, what }: { text: string; what: string }) {
  const t = useTranslate();
  const [copied, setCopied] = useState(false);
  const copy = async () => {
    await navigator.clipboard.writeText(text);
    setCopied(true);
    setTimeout(() => setCopied(false), 1500);
  };
  return (
    <button type="button" class="copy" onClick={() => void copy()} aria-label={`${t("复制", "Copy")} ${what}`}>
      <span aria-live="polite">{copied ? t("已复制", "Copied") : t("复制", "Copy")}</span>
    </button>
  );
}
