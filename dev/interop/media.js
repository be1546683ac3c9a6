/**
 * Fragmented MP4 through the relay, from `moq import` to `moq export`, in each version and over each transport.
 *
 * The program takes MP4 apart and puts it together again, so containers differ: other boxes, other fragments, times from another
 * zero. What has to be equal are the samples: the bytes of every access unit of video and every frame of audio, in order, without a
 * gap, from the sample at which the viewer began to the last one.
 */

import { spawn } from "node:child_process";
import { mkdtemp, open, rm, stat } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { setTimeout as pause } from "node:timers/promises";
import { newRelay } from "../clients/driver/relay.js";
import { Table } from "../clients/driver/table.js";

const MOQ = process.env.THEIR_MOQ;

const VERSIONS = ["moq-lite-06", "moq-lite-05", "moq-lite-04", "moq-lite-03", "moq-lite-02", "moq-lite-01"];

/** By name: the URL of a relay, from its HTTP address. */
const TRANSPORTS = {
  webtransport: (url) => url.replace("http:", "https:"),
  quic: (url) => url.replace("http:", "moqt:"),
  websocket: (url) => url.replace("http:", "ws:"),
};

/** How long the media is, in seconds: a few groups of one second. */
const SECONDS = 5;

/** How long the publisher lets the viewer come first, in milliseconds. */
const HEAD_START_MS = 1_500;

/** How long everything may take after its end, in milliseconds. */
const TAIL_MS = 10_000;

/** The part of all samples that has to arrive at least: a viewer begins with the group that is the newest when it subscribes. */
const SHARE_MIN = 0.6;

const SOURCE =
  "-f lavfi -i testsrc2=size=320x180:rate=25 -f lavfi -i sine=frequency=440:sample_rate=48000 -c:v libx264 -preset veryfast -g 25 " +
  "-bf 0 -pix_fmt yuv420p -c:a aac -f mp4 -movflags +cmaf+frag_keyframe+empty_moov+default_base_moof+separate_moof";

/** Runs a program to its end; `stdin` and `stdout` as in `spawn`. */
function run(program, args, { stdin = "ignore", stdout = "pipe" } = {}) {
  const child = spawn(program, args, { stdio: [stdin, stdout, "pipe"] });
  let [output, errors] = ["", ""];
  child.stdout?.on("data", (data) => (output += data));
  child.stderr.on("data", (data) => (errors = (errors + data).slice(-2_000)));
  const ended = new Promise((resolve, reject) => {
    child.on("error", reject);
    child.on("close", (code) => resolve({ code, output, errors }));
  });
  return { child, ended };
}

async function succeed(program, args) {
  const { code, output, errors } = await run(program, args).ended;
  if (code !== 0) throw new Error(`${program} ${args.join(" ")}: ${code}\n${errors}`);
  return output;
}

/** The hashes of all samples, by kind: what is in the packets, and nothing of the container. */
async function samplesOf(file) {
  const samples = {};
  for (const kind of ["v", "a"]) {
    const select = ["-v", "error", "-i", file, "-map", `0:${kind}`, "-c", "copy", "-f", "framehash", "-hash", "sha256", "-"];
    const lines = (await succeed("ffmpeg", select)).split("\n").filter((line) => line && !line.startsWith("#"));
    samples[kind] = lines.map((line) => line.split(",").slice(4).join().trim());
  }
  return samples;
}

/** Publishes the source as it would be live, watches it, and says what has come. */
async function carry(source, folder, relayUrl, version, transport) {
  const broadcast = `${transport}-${version}.hang`;
  const side = ["--connect", TRANSPORTS[transport](relayUrl), "--connect-tls-insecure", "--connect-version", version];
  const command = (...verb) => [...side, "--broadcast", broadcast, ...verb];
  const received = join(folder, `${broadcast}.mp4`);
  const sink = await open(received, "w");
  const viewer = run(MOQ, command("export", "fmp4"), { stdout: sink.fd });
  await pause(HEAD_START_MS);

  const live = ["-v", "error", "-re", "-i", source, "-c", "copy", "-f", "mp4"];
  const player = spawn("ffmpeg", [...live, "-movflags", "+cmaf+frag_keyframe+empty_moov+default_base_moof+separate_moof", "-"], {
    stdio: ["ignore", "pipe", "ignore"],
  });
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

/** What is wrong with the samples that came; and how many there are. `undefined`: nothing. */
function faultIn(sent, seen) {
  for (const kind of ["v", "a"]) {
    const [all, some] = [sent[kind], seen[kind]];
    if (some.length < all.length * SHARE_MIN) return `${some.length} of ${all.length} samples (${kind})`;
    const tail = all.slice(all.length - some.length);
    const at = some.findIndex((sample, index) => sample !== tail[index]);
    if (at >= 0) return `sample ${at} of ${some.length} (${kind}) is not what was sent`;
  }
  return undefined;
}

const folder = await mkdtemp(join(tmpdir(), "moq-interop-"));
const table = new Table();
const relay = await newRelay();
let failed = 0;
try {
  const source = join(folder, "source.mp4");
  const [encoder, ...rest] = ["ffmpeg", "-v", "error", ...SOURCE.split(" "), "-t", String(SECONDS), source];
  await succeed(encoder, rest);
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
