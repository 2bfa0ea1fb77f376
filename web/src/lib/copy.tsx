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
  const label = copied ? t("已复制", "Copied") : t("复制", "Copy");
  return (
    <button type="button" class="copy" onClick={() => void copy()} aria-label={`${label} ${what}`}>
      <span aria-live="polite">{label}</span>
    </button>
  );
}
