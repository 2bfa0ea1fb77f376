import { createUser, listUsers, patchUser } from "./admin";
import { client } from "./admin/client.gen";

declare const process: { env: Record<string, string> };

// It creates an account, clears a member of it and finds it, by the generated client.
async function main(): Promise<void> {
  client.setConfig({ baseUrl: process.env.ADMIN_URL, auth: process.env.ADMIN_KEY });
  const created = await createUser({ body: { companyType: 0, mobile: "13900139000", externalId: "ts-1", metadata: { level: 3 } } });
  if (!created.data) throw new Error("create: " + JSON.stringify(created.error));
  const again = await createUser({ body: { companyType: 0, mobile: "13900139000" } });
  if (again.error?.code !== 40901) throw new Error("create again: " + JSON.stringify(again));
  const id = created.data.data.id;
  const changed = await patchUser({ path: { id }, body: { externalId: null }, throwOnError: true });
  if (changed.data.data.externalId !== null) throw new Error("patch: " + JSON.stringify(changed.data));
  const list = await listUsers({ query: { limit: 1 }, throwOnError: true });
  const found: number[] = list.data.data.items.map((user) => user.id);
  if (found.length !== 1 || found[0] !== id) throw new Error("list: " + JSON.stringify(list.data));
}

void main();
