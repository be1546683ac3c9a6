/**
 * Media that is made here, played as if it were live, and compared with what has come.
 *
 * The programs take MP4 apart and put it together again, so containers differ: other boxes, other fragments, times from another
 * zero. What has to be equal are the samples: the bytes of every access unit of video and every frame of audio, in order, without a
 * gap, from the sample at which the viewer began to the last one.
 */

import { spawn } from "node:child_process";
import { stripVTControlCharacters } from "node:util";
import { SOON_MS, within } from "../clients/roles/deadline.js";

/** How long the media is, in seconds: a few groups of one second. */
export const SECONDS = 5;

/** The part of all samples that has to arrive at least: a viewer begins with the group that is the newest when it subscribes. */
const SHARE_MIN = 0.6;

/** What the programs read: a fragment for each key frame. */
const FRAGMENTS = ["-f", "mp4", "-movflags", "+cmaf+frag_keyframe+empty_moov+default_base_moof+separate_moof"];

const SOURCE =
  "-f lavfi -i testsrc2=size=320x180:rate=25 -f lavfi -i sine=frequency=440:sample_rate=48000 -c:v libx264 -preset veryfast -g 25 " +
  "-bf 0 -pix_fmt yuv420p -c:a aac";

/** How much of what a program logs is kept, in characters. */
const LOG_KEPT = 10_000;

/** Runs a program to its end, in plain text; `stdin` and `stdout` as in `spawn`. */
export function run(program, args, { stdin = "ignore", stdout = "pipe" } = {}) {
  const child = spawn(program, args, { stdio: [stdin, stdout, "pipe"] });
  let [output, errors] = ["", ""];
  let look = () => {};
  child.stdout?.on("data", (data) => (output += data));
  child.stderr.on("data", (data) => {
    errors = (errors + stripVTControlCharacters(String(data))).slice(-LOG_KEPT);
    look();
  });
  const ended = new Promise((resolve, reject) => {
    child.on("error", reject);
    child.on("close", (code) => resolve({ code, output, errors }));
  });
  return {
    child,
    ended,
    /** Waits until it has logged something with this in it. */
    says(text) {
      const said = new Promise((resolve) => {
        look = () => errors.includes(text) && resolve();
      });
      look();
      return within(SOON_MS, Promise.race([said, ended]), () => `${program} to log "${text}". ${errors}`);
    },
    /** What it has logged, and what it has written. */
    log: () => errors,
    output: () => output,
  };
}

async function succeed(program, args) {
  const { code, output, errors } = await run(program, args).ended;
  if (code !== 0) throw new Error(`${program} ${args.join(" ")}: ${code}\n${errors}`);
  return output;
}

/** Makes the media: a picture and a tone. */
export async function makeSource(file) {
  await succeed("ffmpeg", ["-v", "error", ...SOURCE.split(" "), ...FRAGMENTS, "-t", String(SECONDS), file]);
}

/** ffmpeg, which writes the media as fast as it is played. */
export function play(file) {
  return spawn("ffmpeg", ["-v", "error", "-re", "-i", file, "-c", "copy", ...FRAGMENTS, "-"], { stdio: ["ignore", "pipe", "ignore"] });
}

/** The hashes of all samples, by kind: what is in the packets, and nothing of the container. */
export async function samplesOf(file) {
  const samples = {};
  for (const kind of ["v", "a"]) {
    const select = ["-v", "error", "-i", file, "-map", `0:${kind}`, "-c", "copy", "-f", "framehash", "-hash", "sha256", "-"];
    const lines = (await succeed("ffmpeg", select)).split("\n").filter((line) => line && !line.startsWith("#"));
    samples[kind] = lines.map((line) => line.split(",").slice(4).join().trim());
  }
  return samples;
}

/**
 * What is wrong with the samples that came. `undefined`: nothing. `hasEnd`: the last one has to be there; `shareMin`: the part of all
 * that has to.
 */
export function faultIn(sent, seen, { hasEnd = true, shareMin = SHARE_MIN } = {}) {
  for (const kind of ["v", "a"]) {
    const [all, some] = [sent[kind], seen[kind]];
    if (some.length < all.length * shareMin) return `${some.length} of ${all.length} samples (${kind})`;
    const begin = hasEnd ? all.length - some.length : Math.max(all.indexOf(some[0]), 0);
    const at = some.findIndex((sample, index) => sample !== all[begin + index]);
    if (at >= 0) return `sample ${at} of ${some.length} (${kind}) is not what was sent`;
  }
  return undefined;
}
