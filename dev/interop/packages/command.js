/** The `moq` command of this repository as one of the clients: a publisher and a viewer with the face of `dev/clients/roles`. */

import { moq, spelled, spelledFrame } from "../../clients/driver/moq.js";
import { framesPerGroup } from "../../clients/roles/frames.js";

const FRAMES = framesPerGroup("mixed");

/** Publishes what it is told to, step by step, by `moq publish`. */
export class CommandPublisher {
  #args;
  #process;
  #written = 0;

  constructor({ url, path, track }) {
    this.#args = ["publish", "--frames", "length", "--group-frames", String(FRAMES), url, path, track];
    this.publish();
  }

  /** Starts; a later one begins with group 0 again. */
  publish() {
    this.#written = 0;
    this.#process = moq(this.#args);
  }

  write(count) {
    for (; count > 0; count--, this.#written++) {
      this.#process.write(spelledFrame(Math.floor(this.#written / FRAMES), this.#written % FRAMES));
    }
  }

  /** Which group comes next: what stands in `report` of the other publishers. */
  report() {
    return { nextGroup: Math.ceil(this.#written / FRAMES) };
  }

  /** Leaves the air in order. */
  withdraw() {
    this.#process.finish();
  }

  /** Leaves without a word. */
  leave() {
    this.#process.kill();
  }
}

/** Watches by `moq subscribe`, from the newest group on. It tells nothing but the bytes of frames, in order. */
export class CommandViewer {
  #process;
  #seen = { frames: 0, firstGroup: undefined };

  constructor({ url, path, track }) {
    this.#process = moq(["subscribe", "--frames", "length", "--wait", "1m", url, path, track]);
  }

  /** Resolves when this many frames of this group have come, and all from the beginning of some group on. */
  framesOf(group, count) {
    const starts = Array.from({ length: group + 1 }, (_, first) => ({ first, expected: upTo(first, group, count) }));
    const test = (output) => {
      const found = starts.find(({ expected }) => output.equals(expected));
      if (found) this.#seen = { frames: (group - found.first) * FRAMES + count, firstGroup: found.first };
      return found;
    };
    return this.#process.writes(test, () => `${count} frames of group ${group}`);
  }

  report() {
    return this.#seen;
  }

  leave() {
    this.#process.kill();
  }
}

/** What is written by who has seen all from the start of group `first` to so many frames of group `last`. */
function upTo(first, last, count) {
  const whole = spelled(...Array.from({ length: last - first }, (_, at) => first + at));
  return Buffer.concat([whole, ...Array.from({ length: count }, (_, frame) => spelledFrame(last, frame))]);
}
