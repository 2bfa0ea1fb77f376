import { randomUUID } from "node:crypto";
import { readFileSync, renameSync, writeFileSync } from "node:fs";
import { Menshen, type Options } from "./core.js";
import { send, stream } from "./fetching.js";
import type { Platform } from "./types.js";

export * from "./core.js";

/** The platform of Node. The record is a file that its owner alone can read. */
export function node(file: string): Platform {
  return {
    send, stream,
    read() {
      try {
        return readFileSync(file, "utf8");
      } catch (error) {
        if ((error as NodeJS.ErrnoException).code === "ENOENT") return null;
        throw error;
      }
    },
    write(record) {
      const next = `${file}.${process.pid}`;
      writeFileSync(next, record, { mode: 0o600 });
      renameSync(next, file);
    },
    random: () => "node-" + randomUUID(),
  };
}

/** A client for a program. */
export function connect(options: Options & { file: string }): Menshen {
  return new Menshen(node(options.file), options);
}
