/**
 * The relay under test.
 *
 * `MOQ_RELAY` names the binary to start; the default is the one that the tests' own build leaves behind. `MOQ_RELAY_URL` names a
 * relay that runs already, which is then left alone.
 */

import { spawn } from "node:child_process";
import { mkdtemp, rm, writeFile } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { setTimeout as pause } from "node:timers/promises";
import { fileURLToPath } from "node:url";
import { freePort } from "./ports.js";

const BINARY = fileURLToPath(new URL("../../../target/debug/moq-relay", import.meta.url));

/** How long a relay may take to answer its first request, in milliseconds. */
const START_MS = 20_000;
/** How long it may take to end once asked to, in milliseconds. */
const STOP_MS = 10_000;
/** How much of what it prints is kept for the case that it dies, in characters. */
const LOG_KEPT = 20_000;

/** The development setup of the documentation, on a port of its own. */
const config = (port) => `
[log]
level = "info"

[server]
listen = "[::]:${port}"

[server.tls]
generate = ["localhost"]

[web.http]
listen = "[::]:${port}"

[auth]
public = ""
`;

/** Starts a relay and waits until it answers. */
export async function startRelay() {
  if (process.env.MOQ_RELAY_URL) return { url: process.env.MOQ_RELAY_URL, assertAlive() {}, async stop() {} };

  const binary = process.env.MOQ_RELAY ?? BINARY;
  const port = await freePort();
  const folder = await mkdtemp(join(tmpdir(), "moq-relay-"));
  const file = join(folder, "relay.toml");
  await writeFile(file, config(port));

  const child = spawn(binary, [file], { stdio: ["ignore", "pipe", "pipe"] });
  let log = "";
  const keep = (text) => {
    log = (log + text).slice(-LOG_KEPT);
  };
  child.stdout.on("data", keep);
  child.stderr.on("data", keep);
  child.on("error", (error) => keep(`${binary}: ${error.message}`));
  const ended = new Promise((resolve) => {
    child.on("error", resolve);
    child.on("exit", resolve);
  });
  let isRunning = true;
  void ended.then(() => {
    isRunning = false;
  });

  const relay = {
    url: `http://localhost:${port}/`,
    pid: child.pid,
    /** Throws with what the relay printed last, when it is no longer there. */
    assertAlive() {
      if (!isRunning) throw new Error(`the relay has ended (${child.signalCode ?? child.exitCode}):\n${log}`);
    },
    /** Ends the relay; throws when it had ended by itself. */
    async stop() {
      relay.assertAlive();
      child.kill("SIGTERM");
      const timer = setTimeout(() => child.kill("SIGKILL"), STOP_MS);
      await ended;
      clearTimeout(timer);
      await rm(folder, { recursive: true });
      if (child.signalCode === "SIGKILL") throw new Error(`the relay did not end within ${STOP_MS} ms of SIGTERM:\n${log}`);
    },
  };
  const giveUp = performance.now() + START_MS;
  while (!(await answers(relay.url))) {
    relay.assertAlive();
    if (performance.now() > giveUp) {
      child.kill("SIGKILL");
      throw new Error(`no answer from the relay within ${START_MS} ms:\n${log}`);
    }
    // There is nothing to wait on but the port itself.
    await pause(50);
  }
  return relay;
}

async function answers(url) {
  try {
    return (await fetch(new URL("/certificate.sha256", url))).ok;
  } catch {
    return false;
  }
}
