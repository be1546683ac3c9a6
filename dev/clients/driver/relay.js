/** A relay of our own, from its start to its end. */

import { spawn } from "node:child_process";
import { mkdtemp, rm, writeFile } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { setTimeout as pause } from "node:timers/promises";
import { fileURLToPath } from "node:url";
import { freePort } from "./ports.js";

/** How long a relay may take to answer its first request, in milliseconds. */
const START_MS = 20_000;
/** How long it may take to end once asked to, in milliseconds. */
const STOP_MS = 10_000;
/** How much of what it prints is kept for the case that it dies, in characters. */
const LOG_KEPT = 10_000;

/** The binary to start: `MOQ_RELAY` names it; the default is what an ordinary build leaves behind. */
export const BINARY = process.env.MOQ_RELAY ?? fileURLToPath(new URL("../../../target/debug/moq-relay", import.meta.url));

/** The development setup of the documentation, on a port of its own, with these versions or all, and this in `[auth]`. */
const configOn = (port, versions, auth = `public = ""`) => `
drain_timeout = "0s"

[log]
level = "info"

[server]
listen = "[::]:${port}"
${versions ? `version = ${JSON.stringify(versions)}` : ""}

[server.tls]
generate = ["localhost"]

[web.http]
listen = "[::]:${port}"

[auth]
${auth}
`;

/**
 * The relay that tests use: a new one on a free port, or, when `MOQ_RELAY_URL` names one that runs already, that one, which is then
 * left alone.
 */
export async function relayForTests() {
  const url = process.env.MOQ_RELAY_URL;
  return url ? { url, assertAlive() {}, async stop() {} } : newRelay();
}

/** A new relay on a free port, which speaks these versions, best first, or all; open to everybody, or with this in `[auth]`. */
export async function newRelay(versions, auth) {
  const folder = await mkdtemp(join(tmpdir(), "moq-relay-"));
  const file = join(folder, "relay.toml");
  const port = await freePort();
  await writeFile(file, configOn(port, versions, auth));
  const relay = await startRelay(file, `http://localhost:${port}/`);
  return {
    ...relay,
    async stop() {
      await relay.stop();
      await rm(folder, { recursive: true });
    },
  };
}

/** Starts a relay with this configuration file and waits until it answers at `url`. Each piece of its log goes to `onLog`. */
export async function startRelay(file, url, onLog = () => {}) {
  const child = spawn(BINARY, [file], { stdio: ["ignore", "pipe", "pipe"] });
  let log = "";
  let isRunning = true;
  const keep = (text) => {
    log = (log + text).slice(-LOG_KEPT);
    onLog(text);
  };
  child.stdout.on("data", keep);
  child.stderr.on("data", keep);
  const ended = new Promise((resolve) => {
    child.on("exit", resolve);
    child.on("error", (error) => {
      keep(`${error.message}\n`);
      resolve();
    });
  }).then(() => {
    isRunning = false;
  });

  const assertAlive = () => {
    if (!isRunning) throw new Error(`${BINARY} has ended (${child.signalCode ?? child.exitCode}). It said:\n${log}`);
  };
  const giveUp = performance.now() + START_MS;
  while (!(await answers(url))) {
    assertAlive();
    if (performance.now() > giveUp) {
      child.kill("SIGKILL");
      throw new Error(`${BINARY} does not answer at ${url} within ${START_MS} ms. It said:\n${log}`);
    }
    // There is nothing to wait on but the port itself.
    await pause(50);
  }
  return {
    url,
    /** Settles once it has ended, for whatever reason. */
    ended,
    /** Throws with what the relay said last, when it is no longer there. */
    assertAlive,
    /** Ends the relay. Throws when it had ended by itself, or does not end when asked to. */
    async stop() {
      assertAlive();
      child.kill("SIGTERM");
      const timer = setTimeout(() => child.kill("SIGKILL"), STOP_MS);
      await ended;
      clearTimeout(timer);
      if (child.signalCode === "SIGKILL") throw new Error(`${BINARY} did not end within ${STOP_MS} ms. It said:\n${log}`);
    },
  };
}

async function answers(url) {
  try {
    return (await fetch(new URL("/certificate.sha256", url))).ok;
  } catch {
    return false;
  }
}
