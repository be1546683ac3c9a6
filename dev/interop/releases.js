/**
 * The programs of others in their releases of the last year, each as a publisher that all of them watch at once, over each transport:
 * moq-cli with fragmented MP4, whose samples are compared, and moq-clock with the seconds that it counts.
 *
 * An argument names the publishers that are to be tried, such as "moq-cli 0.7"; `PEERS` is where the programs are installed, and
 * `MOQ_RELAY_URL` a relay that runs already, to be compared with. The `moq` of this
 * repository is one of the publishers.
 */

import { mkdtemp, open, rm } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { setTimeout as pause } from "node:timers/promises";
import { BINARY as OURS } from "../clients/driver/moq.js";
import { relayForTests } from "../clients/driver/relay.js";
import { Table } from "../clients/driver/table.js";
import { faultIn, makeSource, play, run, samplesOf, SECONDS } from "./fmp4.js";
import { TRANSPORTS } from "./transports.js";

const PEERS = process.env.PEERS;

/** How long everything may take after its end, in milliseconds. */
const TAIL_MS = 10_000;

/** How much is told of what the programs of a failure have logged, in characters. */
const LOGGED = 700;

/** Seconds of a clock that a viewer has to have seen. */
const TICKS = 4;

/** What all of them log once they have a session. */
const CONNECTED = "connected";

/** Fragments that are written soon, and groups that are waited for when the machine is busy: both are options of viewers. */
const [FRAGMENT, PATIENCE] = ["500ms", "10s"];

/** How moq-cli is told what to do, by the first release that is told so. */
const VERBS = {
  0.7: {
    import: (url, name) => ["publish", "--url", url, "--client-tls-disable-verify", "--broadcast", name, "fmp4"],
    export: (url, name) => {
      const how = ["--format", "fmp4", "--fragment-duration", FRAGMENT, "--max-latency", PATIENCE];
      return ["subscribe", "--url", url, "--client-tls-disable-verify", "--broadcast", name, ...how];
    },
  },
  0.8: {
    import: (url, name) => ["--client-connect", url, "--client-tls-disable-verify", "--broadcast", name, "import", "fmp4"],
    export: (url, name) => {
      const how = ["--fragment-duration", FRAGMENT, "--latency-max", PATIENCE];
      return ["--client-connect", url, "--client-tls-disable-verify", "--broadcast", name, "export", "fmp4", ...how];
    },
  },
  0.14: {
    import: (url, name) => ["--connect", url, "--connect-tls-insecure", "--broadcast", name, "import", "fmp4"],
    export: (url, name) => {
      const how = ["--fragment-duration", FRAGMENT, "--max-age", PATIENCE];
      return ["--connect", url, "--connect-tls-insecure", "--broadcast", name, "export", "fmp4", ...how];
    },
  },
};

const player = (release, folder, program, told) => ({
  name: `moq-cli ${release}`,
  program: join(PEERS, folder, "bin", program),
  ...VERBS[told],
});

/** Oldest first. */
const PLAYERS = [
  player("0.7.35", "moq-cli-0.7.35", "moq-cli", 0.7),
  player("0.8.7", "moq-cli-0.8.7", "moq", 0.8),
  player("0.9.15", "moq-cli-0.9.15", "moq", 0.8),
  player("0.11.2", "moq-cli-0.11.2", "moq", 0.8),
  player("0.14.10", "moq-cli", "moq", 0.14),
];

/** Publishes the same, but plays nothing. */
const IMPORTER = { name: "moq import", program: OURS, import: (url, name) => ["import", "--insecure", url, name] };

/** What has to have come: a viewer begins with the newest group, and some publishers end before their last group has been sent. */
const SEEN = { hasEnd: false, shareMin: 0.5 };

const clock = (release) => ({
  name: `moq-clock ${release}`,
  program: join(PEERS, `moq-clock-${release}`, "bin", "moq-clock"),
});

const CLOCKS = [clock("0.10.0"), clock("0.10.21")];

/** One publisher, all viewers: what came of it, by viewer. */
async function carry({ source, sent, folder, relay, publisher, transport }) {
  const url = TRANSPORTS[transport](relay.url);
  const broadcast = `${publisher.name.replace(" ", "-")}-${transport}.hang`;
  const viewers = PLAYERS.map(async (viewer) => {
    const file = join(folder, `${broadcast}-${viewer.name}.mp4`);
    const sink = await open(file, "w");
    return { viewer, file, sink, running: run(viewer.program, viewer.export(url, broadcast), { stdout: sink.fd }) };
  });
  const all = await Promise.all(viewers);
  const ready = await Promise.allSettled(all.map(({ running }) => running.says(CONNECTED)));

  const film = play(source);
  const importing = run(publisher.program, publisher.import(url, broadcast), { stdin: "pipe" });
  importing.child.stdin.on("error", () => {});
  film.stdout.pipe(importing.child.stdin);
  const isOver = await Promise.race([importing.ended, pause(SECONDS * 1_000 + TAIL_MS, undefined)]);
  if (!isOver) importing.child.kill("SIGINT");
  const tail = pause(TAIL_MS, undefined);
  const outcomes = all.map(async ({ viewer, file, sink, running }, at) => {
    const byItself = await Promise.race([running.ended, tail]);
    if (!byItself) running.child.kill("SIGINT");
    await running.ended;
    await sink.close();
    const seen = await samplesOf(file).catch(() => ({ v: [], a: [] }));
    const fault = ready[at].reason?.message ?? faultIn(sent, seen, SEEN);
    const log = fault && `${fault}\n${running.log().slice(-LOGGED)}\n${importing.log().slice(-LOGGED)}`;
    return { viewer: viewer.name, fault: log, text: `${seen.v.length}+${seen.a.length}` };
  });
  const settled = await Promise.all(outcomes);
  importing.child.kill("SIGKILL");
  return settled;
}

/** One clock publishes, all of them read it. */
async function tick({ relay, publisher }) {
  const url = TRANSPORTS.webtransport(relay.url);
  const broadcast = publisher.name.replace(" ", "-");
  const start = ({ program }, verb) => run(program, ["--url", url, "--tls-disable-verify", "--broadcast", broadcast, verb]);
  const publishing = start(publisher, "publish");
  const outcomes = CLOCKS.map(async (viewer) => {
    const reading = start(viewer, "subscribe");
    const enough = (async () => {
      for await (const _ of reading.child.stdout) if (reading.output().split("\n").length > TICKS) return;
    })();
    await Promise.race([enough, pause(TAIL_MS + TICKS * 1_000)]);
    reading.child.kill("SIGKILL");
    const seconds = reading.output().split("\n").slice(0, -1).map((line) => Date.parse(`${line.trim()}Z`) / 1_000);
    const isEven = seconds.every((second, at) => at === 0 || second === seconds[at - 1] + 1);
    const fault = seconds.length >= TICKS && isEven ? undefined : `${reading.output()}\n${reading.log()}\n${publishing.log()}`;
    return { viewer: viewer.name, fault, text: `${seconds.length} s` };
  });
  const settled = await Promise.all(outcomes);
  publishing.child.kill("SIGKILL");
  return settled;
}

const folder = await mkdtemp(join(tmpdir(), "moq-releases-"));
const [films, clocks, faults] = [new Table(), new Table(), []];
const relay = await relayForTests();
/** Notes what came of one publisher. */
const note = (table, publisher, what, outcomes) => {
  const cells = outcomes.map(({ viewer, fault, text }) => [viewer, fault ? `FAILED ${text}` : text]);
  table.add({ "published by": publisher.name, ...what, ...Object.fromEntries(cells) });
  for (const { viewer, fault } of outcomes) if (fault) faults.push(`${publisher.name} to ${viewer} ${Object.values(what)}: ${fault}`);
  relay.assertAlive();
};
try {
  const source = join(folder, "source.mp4");
  await makeSource(source);
  const sent = await samplesOf(source);
  for (const publisher of [...PLAYERS, IMPORTER].filter(({ name }) => name.startsWith(process.argv[2] ?? ""))) {
    const names = Object.keys(TRANSPORTS);
    const carried = names.map((transport) => carry({ source, sent, folder, relay, publisher, transport }));
    (await Promise.all(carried)).forEach((outcomes, at) => note(films, publisher, { over: names[at] }, outcomes));
  }
  films.print(`Samples of video and audio that came, of ${sent.v.length}+${sent.a.length}`);
  for (const publisher of CLOCKS) note(clocks, publisher, {}, await tick({ relay, publisher }));
  clocks.print("Seconds that came in order");
} finally {
  await relay.stop();
  await rm(folder, { recursive: true });
}
for (const fault of faults) process.stdout.write(`${fault}\n\n`);
process.exit(faults.length > 0 ? 1 : 0);
