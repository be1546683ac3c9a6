/** `dev/up`, as the README has it. */

import { spawn } from "node:child_process";
import { once } from "node:events";
import { readFile } from "node:fs/promises";
import { createInterface } from "node:readline";
import { fileURLToPath } from "node:url";
import { within } from "../roles/deadline.js";
import { freePort } from "./ports.js";

const ROOT = fileURLToPath(new URL("../../../", import.meta.url));

/** How long it may take to build what has changed and to start, in milliseconds. */
const START_MS = 120_000;
/** How long it may take to end, in milliseconds. */
const STOP_MS = 15_000;

/** Runs the README's own line, with the relay on a free port. `url` is the address it prints. */
export async function startUp() {
  const readme = await readFile(`${ROOT}README.md`, "utf8");
  const [line] = readme.match(/^\.\/dev\/up\b.*$/m) ?? [];
  if (!line) throw new Error("README.md does not say ./dev/up any more");

  // In a process group of its own, so that all of it can be ended as Ctrl-C does. The shell stays, to tell how dev/up ended.
  const child = spawn("sh", ["-c", `trap : INT\n${line}`], {
    cwd: ROOT,
    env: { ...process.env, MOQ_PORT: String(await freePort()) },
    stdio: ["ignore", "pipe", "inherit"],
    detached: true,
  });
  const ended = once(child, "exit");
  const lines = [];
  const output = createInterface(child.stdout).on("line", (text) => lines.push(text));
  const stop = async () => {
    process.kill(-child.pid, "SIGINT");
    await within(STOP_MS, ended, () => "dev/up to end");
    return { code: child.exitCode, lines };
  };
  const said = Promise.race([
    once(output, "line"),
    ended.then(() => {
      throw new Error(`dev/up has ended (${child.exitCode}) without a word`);
    }),
  ]);
  try {
    const [text] = await within(START_MS, said, () => "dev/up to say where it is");
    return { url: text.split(" ").at(-1), stop };
  } catch (error) {
    if (child.exitCode === null) await stop();
    throw error;
  }
}
