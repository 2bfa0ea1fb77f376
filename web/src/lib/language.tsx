import { createContext, type ComponentChildren } from "preact";
import { useContext, useEffect, useState } from "preact/hooks";

export type Language = "zh-CN" | "en";

/** Chooses between the two languages of the pages. */
export type Translate = (zh: string, en: string) => string;

const key = "menshen.language";

export function preferred(): Language {
  const kept = localStorage.getItem(key);
  if (kept === "zh-CN" || kept === "en") return kept;
  return navigator.language.toLowerCase().startsWith("zh") ? "zh-CN" : "en";
}

const Context = createContext<{ language: Language; set: (language: Language) => void }>({ language: "zh-CN", set: () => {} });

export function Languages({ children }: { children: ComponentChildren }) {
  const [language, setLanguage] = useState(preferred);
  useEffect(() => void (document.documentElement.lang = language), [language]);
  const set = (next: Language) => {
    localStorage.setItem(key, next);
    setLanguage(next);
  };
  return <Context.Provider value={{ language, set }}>{children}</Context.Provider>;
}

export function useTranslate(): Translate {
  const { language } = useContext(Context);
  return language === "en" ? english : chinese;
}

const english: Translate = (_, en) => en;
const chinese: Translate = (zh) => zh;

export function LanguageSwitch() {
  const { language, set } = useContext(Context);
  const other = language === "en" ? "zh-CN" : "en";
  return (
    <button type="button" class="quiet" lang={other} onClick={() => set(other)}>
      {other === "en" ? "English" : "中文"}
    </button>
  );
}
