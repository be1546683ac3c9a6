/**
 * Every release of the last year as a publisher, watched by every one of them, through the relay: over WebSocket in Node, and over
 * WebTransport with the pinned certificate in Chromium. The `moq` command of this repository is one of them.
 *
 *     node dev/interop/packages/run.js                      # Node
 *     node dev/interop/packages/run.js chromium
 *     node dev/interop/packages/run.js node "@moq/net 0.1"  # only what these publish
 *
 * `MOQ_RELAY_URL` names a relay that runs already, such as the one that comes with the packages, to be compared with.
 */

import { mkdtemp, rm } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { startBrowser } from "../../clients/driver/browser.js";
import { nodePlace } from "../../clients/driver/node.js";
import { relayForTests } from "../../clients/driver/relay.js";
import { Table } from "../../clients/driver/table.js";
import { CommandPublisher, CommandViewer } from "./command.js";
import { modules, pages, RELEASES } from "./releases.js";
import { tell } from "./story.js";

const COMMAND = { name: "moq" };

/** Where the packages run. `hosts`: the roles by the folder of their release; `open`: a place for one publisher's viewers. */
async function node() {
  const folder = await mkdtemp(join(tmpdir(), "moq-packages-"));
  return {
    transport: "websocket",
    hosts: await modules(folder),
    open: async () => nodePlace(),
    close: () => rm(folder, { recursive: true }),
  };
}

async function chromium() {
  const scripts = await pages();
  const browser = await startBrowser(scripts);
  const hosts = Object.fromEntries(Object.keys(scripts).map((name) => [name, name]));
  return { transport: "webtransport", hosts, open: () => browser.place(), close: () => browser.close() };
}

const where = await { node, chromium }[process.argv[2] ?? "node"]();
const began = performance.now();
const [table, faults] = [new Table(), []];
const relay = await relayForTests();
try {
  for (const publisher of [...RELEASES, COMMAND].filter(({ name }) => name.startsWith(process.argv[3] ?? ""))) {
    const place = await where.open();
    const broadcast = { url: relay.url, path: `by/${publisher.folder ?? publisher.name}`, track: "data", profile: "mixed" };
    const start = async (kind, client) => {
      if (client === COMMAND) return kind === "publisher" ? new CommandPublisher(broadcast) : new CommandViewer(broadcast);
      const webSocket = where.transport === "websocket";
      return place[kind]({ ...broadcast, package: client.face, host: where.hosts[client.folder], webSocket });
    };
    const outcomes = await tell({ publisher, viewers: RELEASES, commands: [COMMAND], start, transport: where.transport });
    await place.close();
    relay.assertAlive();
    for (const { fault, viewer } of outcomes) if (fault) faults.push(`${publisher.name} to ${viewer}: ${fault}`);
    const cells = outcomes.map(({ viewer, fault, frames, ms }) => [viewer, fault ? "FAILED" : `${frames} ${ms ?? ""}`]);
    table.add({ "published by": publisher.name, ...Object.fromEntries(cells) });
  }
} finally {
  await relay.stop();
  await where.close();
}
const seconds = ((performance.now() - began) / 1_000).toFixed(0);
table.print(`Over ${where.transport}, in ${seconds} s: frames that came whole, milliseconds from asking to the first one (late joiner)`);
for (const fault of faults) process.stdout.write(`${fault}\n\n`);
process.exit(faults.length > 0 ? 1 : 0);
