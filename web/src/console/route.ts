import { useEffect, useState } from "preact/hooks";

/** Where one is: behind the #, which no server and no proxy sees. It holds ids alone. */
export interface Route { path: string; query: URLSearchParams }

function read(): Route {
  const [path, query] = location.hash.replace(/^#/, "").split("?");
  return { path: path || "/find", query: new URLSearchParams(query ?? "") };
}

export function useRoute(): Route {
  const [route, setRoute] = useState(read);
  useEffect(() => {
    const change = () => setRoute(read());
    addEventListener("hashchange", change);
    return () => removeEventListener("hashchange", change);
  }, []);
  return route;
}

export const userLink = (id: number) => `#/users/${id}`;
