/** Fragmented MP4 through the relay, from `moq import` to `moq export`, in each version and over each transport. */

import { mkdtemp, open, rm, stat } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { setTimeout as pause } from "node:timers/promises";
import { newRelay } from "../clients/driver/relay.js";
import { Table } from "../clients/driver/table.js";
import { faultIn, makeSource, play, run, samplesOf, SECONDS } from "./fmp4.js";
import { TRANSPORTS } from "./transports.js";

const MOQ = process.env.THEIR_MOQ;

const VERSIONS = ["moq-lite-06", "moq-lite-05", "moq-lite-04", "moq-lite-03", "moq-lite-02", "moq-lite-01"];

/** What the program logs once it has a session. */
const CONNECTED = "connected";

/** How long everything may take after its end, in milliseconds. */
const TAIL_MS = 10_000;

/** Publishes the source as it would be live, watches it, and says what has come. */
async function carry(source, folder, relayUrl, version, transport) {
  const broadcast = `${transport}-${version}.hang`;
  const side = ["--connect", TRANSPORTS[transport](relayUrl), "--connect-tls-insecure", "--connect-version", version];
  const command = (...verb) => [...side, "--broadcast", broadcast, ...verb];
  const received = join(folder, `${broadcast}.mp4`);
  const sink = await open(received, "w");
  const viewer = run(MOQ, command("export", "fmp4"), { stdout: sink.fd });
  await viewer.says(CONNECTED);

  const player = play(source);
  const publisher = run(MOQ, command("import", "fmp4"), { stdin: "pipe" });
  publisher.child.stdin.on("error", () => {});
  player.stdout.pipe(publisher.child.stdin);
  const late = setTimeout(() => [publisher, viewer].forEach(({ child }) => child.kill("SIGINT")), SECONDS * 1_000 + TAIL_MS);
  const sent = await publisher.ended;
  const seen = await Promise.race([viewer.ended, pause(TAIL_MS, undefined)]);
  if (!seen) viewer.child.kill("SIGINT");
  const { errors } = await viewer.ended;
  clearTimeout(late);
  await sink.close();
  return { received, bytes: (await stat(received)).size, errors: sent.code === 0 ? errors : sent.errors };
}

const folder = await mkdtemp(join(tmpdir(), "moq-interop-"));
const table = new Table();
const relay = await newRelay();
let failed = 0;
try {
  const source = join(folder, "source.mp4");
  await makeSource(source);
  const sent = await samplesOf(source);
  for (const version of VERSIONS) {
    const row = async (transport) => {
      const { received, bytes, errors } = await carry(source, folder, relay.url, version, transport);
      const seen = await samplesOf(received).catch(() => ({ v: [], a: [] }));
      const fault = faultIn(sent, seen);
      if (fault) process.stderr.write(`${version} ${transport}: ${fault}\n${errors}\n`);
      return { version, transport, outcome: fault ?? "equal", video: seen.v.length, audio: seen.a.length, bytes, fault };
    };
    for (const { fault, ...figures } of await Promise.all(Object.keys(TRANSPORTS).map(row))) {
      failed += fault ? 1 : 0;
      table.add(figures);
    }
    relay.assertAlive();
  }
  table.print(`${sent.v.length} samples of video and ${sent.a.length} of audio, ${(await stat(source)).size} bytes of MP4`);
} finally {
  await relay.stop();
  await rm(folder, { recursive: true });
}
process.exit(failed > 0 ? 1 : 0);
