import { useEffect, useState } from "preact/hooks";

/** A message of the provider "log", as GET /dev/sms.json has it. */
export interface Sms {
  id: string;
  at: string;
  mobile: string;
  code: string;
  purpose: string;
  language: string;
  companyType: number;
  productType: number;
  text: string;
}

const most = 200;

/** Calls onMessage for each new message, and onList with all whenever the stream (re)opens. */
export function followInbox(onMessage: (sms: Sms) => void, onList: (list: Sms[]) => void, onLive: (live: boolean) => void = () => {}): () => void {
  const source = new EventSource("/dev/sms/events");
  source.addEventListener("open", () => {
    onLive(true);
    void fetch("/dev/sms.json", { cache: "no-store" })
      .then((answer) => answer.json())
      .then(({ data }: { data: { items: Sms[] } }) => onList(data.items))
      .catch(() => {}); // the stream opens again
  });
  source.addEventListener("sms", (event) => onMessage(JSON.parse((event as MessageEvent<string>).data) as Sms));
  source.addEventListener("error", () => onLive(false));
  return () => source.close();
}

/** All messages, newest first, and whether the stream is open. */
export function useInbox(): { messages: Sms[]; live: boolean } {
  const [messages, setMessages] = useState<Sms[]>([]);
  const [live, setLive] = useState(false);
  const merge = (news: Sms[]) =>
    setMessages((old) => [...news, ...old.filter(({ id }) => !news.some((sms) => sms.id === id))].sort((a, b) => b.at.localeCompare(a.at)).slice(0, most));
  useEffect(() => followInbox((sms) => merge([sms]), merge, setLive), []);
  return { messages, live };
}

/** +8613800138000 as people read it. */
export function spoken(mobile: string): string {
  return mobile.replace(/^\+86(\d{3})(\d{4})(\d{4})$/, "$1 $2 $3");
}
