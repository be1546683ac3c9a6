/** A page of documentation: the commands on it that a test here runs. */

import { spawn } from "node:child_process";
import { once } from "node:events";
import { readFile } from "node:fs/promises";
import { delimiter, dirname, resolve } from "node:path";
import { fileURLToPath } from "node:url";
import { BINARY as MOQ } from "./moq.js";

const ROOT = fileURLToPath(new URL("../../../", import.meta.url));

/** The blocks of a page in `docs` that say that this test runs them, in their order. */
export async function commandsOf(page, test) {
  const text = await readFile(`${ROOT}docs/${page}`, "utf8");
  return [...text.matchAll(/^```sh run-by: (.*)\n([^]*?)^```$/gm)].filter(([, by]) => by === test).map(([, , script]) => script);
}

/** Runs a script in this folder, with `moq` at hand, until it is stopped. */
export function run(script, folder) {
  const env = { ...process.env, PATH: `${dirname(resolve(MOQ))}${delimiter}${process.env.PATH}` };
  // In a process group of its own, so that all of it can be ended as Ctrl-C does.
  const child = spawn("sh", ["-c", script], { cwd: folder, env, stdio: ["ignore", "ignore", "pipe"], detached: true });
  const ended = once(child, "exit");
  let said = "";
  child.stderr.on("data", (data) => (said += data));
  return {
    said: () => said,
    async stop() {
      if (child.exitCode === null && child.signalCode === null) process.kill(-child.pid, "SIGINT");
      await ended;
    },
  };
}
