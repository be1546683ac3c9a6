/** What a viewer has seen of coded pictures: how late, how many, how evenly. */

import { MODULUS } from "./code.js";

/** The figures of `recent` are about so much of the past, in milliseconds. */
const WINDOW_MS = 3_000;

export class Meter {
  #recent = [];
  #seen = [];
  #last;

  /** A picture has been painted now; `code` is what it says, if it says something. */
  add(code) {
    const at = performance.now();
    const isNew = code === undefined || this.#last?.number === undefined || code.number !== this.#last.number;
    if (!isNew) return;
    const gap = this.#last ? at - this.#last.at : 0;
    const step = code && this.#last?.number !== undefined ? (code.number - this.#last.number + MODULUS) % MODULUS : 1;
    // A publisher that has begun again counts from nought, which is no skip.
    const frame = { at, gap, age: code?.age, skipped: step < MODULUS / 2 ? step - 1 : 0 };
    this.#last = { at, number: code?.number };
    this.#recent.push(frame);
    while (this.#recent[0].at < at - WINDOW_MS) this.#recent.shift();
    this.#seen.push(frame);
  }

  /** Forgets everything: another broadcast is watched. */
  reset() {
    this.#recent = [];
    this.#last = undefined;
    this.take();
  }

  /** The last few seconds. */
  recent() {
    const frames = this.#recent.filter(({ at }) => at > performance.now() - WINDOW_MS);
    return { ...figures(frames), perSecond: frames.length / (WINDOW_MS / 1_000) };
  }

  /** All since this was asked last. The gap that is under way counts. */
  take() {
    const seen = figures(this.#seen);
    this.#seen = [];
    if (this.#last) seen.gap = Math.max(seen.gap, performance.now() - this.#last.at);
    return seen;
  }
}

function figures(frames) {
  const ages = frames.map(({ age }) => age).filter((age) => age !== undefined).sort((a, b) => a - b);
  const at = (share) => ages[Math.min(ages.length - 1, Math.floor(share * ages.length))];
  return {
    frames: frames.length,
    skipped: frames.reduce((sum, { skipped }) => sum + skipped, 0),
    gap: frames.reduce((most, { gap }) => Math.max(most, gap), 0),
    delay: { p50: at(0.5), p95: at(0.95), max: ages.at(-1) },
  };
}
