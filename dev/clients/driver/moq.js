/** The `moq` command, which has been built beside the relay. */

import { spawn } from "node:child_process";
import { dirname, join } from "node:path";
import { frameAt, framesPerGroup } from "../roles/frames.js";
import { SOON_MS, within } from "../roles/deadline.js";
import { BINARY as RELAY } from "./relay.js";

export const BINARY = process.env.MOQ ?? join(dirname(RELAY), "moq");

const FRAMES = framesPerGroup("mixed");

/** What `roles/peer.js` writes into these groups, as `moq --frames length` has it. */
export function spelled(...groups) {
  return Buffer.concat(groups.flatMap((group) => Array.from({ length: FRAMES }, (_, frame) => spelledFrame(group, frame))));
}

/** One frame of them. */
export function spelledFrame(group, frame) {
  const payload = frameAt("mixed", group, frame);
  const length = Buffer.alloc(4);
  length.writeUInt32BE(payload.length);
  return Buffer.concat([length, payload]);
}

/** Starts `moq` with these arguments and this input, which goes on; `ended` is what it has written once it has ended well. */
export function moq(args, input) {
  const child = spawn(BINARY, args, { stdio: ["pipe", "pipe", "pipe"] });
  const [output, errors] = [[], []];
  let look = () => {};
  child.stdout.on("data", (data) => {
    output.push(data);
    look();
  });
  child.stderr.on("data", (data) => errors.push(data));
  const exited = new Promise((resolve, reject) => {
    child.on("error", reject);
    child.on("close", (code) => {
      if (code === 0) resolve(Buffer.concat(output));
      else reject(new Error(`${BINARY} ${args.join(" ")}: ended with ${code}: ${Buffer.concat(errors)}`));
    });
  });
  // Whoever waits for it hears of it; until then nobody has to.
  exited.catch(() => {});
  child.stdin.on("error", () => {});
  if (input) child.stdin.write(input);
  return {
    ended: () => within(SOON_MS, exited, () => `the end of ${BINARY} ${args.join(" ")}: ${Buffer.concat(errors)}`),
    /** Waits until what it has written passes this test. */
    writes(test, what) {
      const passed = new Promise((resolve) => {
        look = () => test(Buffer.concat(output)) && resolve();
      });
      look();
      return within(SOON_MS, passed, () => `${what()}; it has written ${Buffer.concat(output).length} bytes. ${Buffer.concat(errors)}`);
    },
    /** More input. */
    write: (data) => child.stdin.write(data),
    /** No more input. */
    finish: () => child.stdin.end(),
    kill: () => child.kill("SIGKILL"),
  };
}
