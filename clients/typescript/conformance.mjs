// The client under `menshen conformance`: it is told one command a line, and answers with one
// line each (docs/conformance.md). With --held it learns of the end of its session by a held
// check, as a mini program does.
import { join } from "node:path";
import { createInterface } from "node:readline";
import { Menshen } from "./dist/core.js";
import { node } from "./dist/node.js";

const held = process.argv.includes("--held");
const clients = new Map(); // by name
const write = (line) => process.stdout.write(JSON.stringify(line) + "\n");

// A platform that can be killed: then nothing of it is sent, written or answered any more.
function mortal(file) {
  const platform = node(file);
  const never = new Promise(() => {});
  const life = { alive: true, control: new AbortController() };
  const guard = (act) => (...args) => (life.alive ? act(...args) : never);
  const attempt = (send) => guard((request, onEvent) => {
    const signal = request.signal ? AbortSignal.any([request.signal, life.control.signal]) : life.control.signal;
    return send({ ...request, signal }, onEvent).then((answer) => (life.alive ? answer : never), (error) => (life.alive ? Promise.reject(error) : never));
  });
  life.platform = {
    send: attempt(platform.send),
    ...(held ? {} : { stream: attempt(platform.stream) }),
    read: platform.read,
    write: (record) => life.alive && platform.write(record),
    random: platform.random,
  };
  return life;
}

function open({ client: name, storage, base, companyType, productType }) {
  const life = mortal(join(storage, "menshen.json"));
  const client = { life, reason: "", challenge: null };
  client.menshen = new Menshen(life.platform, {
    base, companyType, productType, deviceName: "conformance",
    onChallenge: async () => client.challenge,
    onEnded: ({ reason }) => {
      client.reason = reason;
      write({ event: "ended", client: name, reason });
    },
  });
  clients.set(name, client);
}

const commands = {
  close(client, { client: name }) {
    client.life.alive = false;
    client.life.control.abort();
    clients.delete(name);
  },
  code(client, { mobile, challenge }) {
    client.challenge = challenge ?? null;
    return client.menshen.sendCode(mobile);
  },
  async login(client, { mobile, validateNo }) {
    await client.menshen.login(mobile, validateNo);
    client.reason = "";
  },
  call: (client) => client.menshen.me(),
  watch: (client) => client.menshen.watch(),
  logout: (client) => client.menshen.logout(),
  state() {},
};

async function act(command) {
  const { id, do: word, client: name } = command;
  if (word === "open") open(command);
  const client = clients.get(name);
  if (word !== "open" && !commands[word]) return write({ id, unsupported: true });
  const answer = { id, ok: true, code: 0 };
  try {
    await commands[word]?.(client, command);
  } catch (error) {
    answer.ok = false;
    answer.code = error.code ?? 0;
  }
  write({ ...answer, loggedIn: client.menshen.accessToken !== null, reason: client.reason });
}

for await (const line of createInterface({ input: process.stdin })) void act(JSON.parse(line));
process.exit(0);
