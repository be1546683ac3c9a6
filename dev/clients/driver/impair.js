/** A bad network in front of the relay: the program of `dev/impair`, from its start to its table. */

import { spawn } from "node:child_process";
import { once } from "node:events";
import { dirname, join } from "node:path";
import { SOON_MS, within } from "../roles/deadline.js";
import { freePort, passTcp } from "./ports.js";
import { BINARY } from "./relay.js";

/** Beside the relay, where the same build leaves it. */
const IMPAIR = join(dirname(BINARY), "impair");

/**
 * A door to the relay through a bad network: datagrams suffer what `args` say, TCP connections to the same port pass, so that the
 * relay's certificate can be asked for. Gives the URL to use in place of the relay's.
 */
export async function badNetwork(relayUrl, args) {
  const relayPort = Number(new URL(relayUrl).port);
  const port = await freePort();
  const child = spawn(IMPAIR, ["--listen", `[::]:${port}`, "--to", `[::1]:${relayPort}`, ...args]);
  let output = "";
  const { promise: started, resolve: start } = Promise.withResolvers();
  const keep = (text) => {
    output += text;
    if (output.includes("\n")) start();
  };
  child.stdout.on("data", keep);
  child.stderr.on("data", keep);
  child.on("error", (error) => keep(`${error.message}\n`));
  const ended = once(child, "close");
  const [tcp] = await Promise.all([passTcp(port, relayPort), within(SOON_MS, started, () => `${IMPAIR} to start`)]);
  return {
    url: `http://localhost:${port}/`,
    /** Ends it. Gives its table; throws when something that was asked for never happened. */
    async stop() {
      tcp.close();
      child.kill("SIGINT");
      const [code] = await within(SOON_MS, ended, () => `${IMPAIR} to end`);
      if (code !== 0) throw new Error(`${IMPAIR} ${args.join(" ")} ended with ${code}:\n${output}`);
      return output;
    },
  };
}
