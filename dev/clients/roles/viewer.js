/** The watching role: follows one track and checks every byte of it. */

import { SOON_MS, within } from "./deadline.js";
import { faultIn, framesPerGroup } from "./frames.js";
import { packages } from "./packages.js";

export class Viewer {
  #options;
  #session;
  #announcements;
  #subscription;
  /** What has come of each group, by its sequence, in order of arrival. */
  #groups = new Map();
  #faults = [];
  #firstFrameMs;
  /** When a frame came last, and the longest time without one. */
  #cameAt;
  #pauseMs = 0;
  #bytes = 0;
  #announcedTimes = 0;
  #isOnAir = false;
  #waiting = new Set();

  /**
   * Connects and follows the broadcast: subscribes whenever it is announced, lets go when it is withdrawn.
   *
   * `options` as for a publisher: `package`, `url`, `path`, `track`, `profile`; and `maxAgeMs`, how old a group may be that is not
   * the newest, where the package lets one say so; and `webSocket: false`, to have WebTransport or nothing ("net" alone).
   */
  static async open(options) {
    const viewer = new Viewer();
    viewer.#options = options;
    viewer.#session = await packages[options.package].connect(options.url, options);
    viewer.#announcements = packages[options.package].announced(viewer.#session, options.path);
    void viewer.#follow();
    return viewer;
  }

  /** Resolves when the broadcast is on air, or is not any more. */
  hears(isOnAir) {
    return this.#until(
      () => this.#isOnAir === isOnAir,
      () => `the broadcast to be ${isOnAir ? "on" : "off"} air`,
    );
  }

  /** Resolves when this group, or a newer one, has come whole. */
  wholeGroup(sequence) {
    return this.#until(
      () => [...this.#groups].some(([group, { isWhole }]) => isWhole && group >= sequence),
      () => `group ${sequence} or newer, whole`,
    );
  }

  /** Resolves when this many groups have come whole. */
  wholeGroups(count) {
    return this.#until(
      () => this.#wholeGroups().length >= count,
      () => `${count} whole groups`,
    );
  }

  /** Resolves when this many frames of this one group have come. */
  framesOf(sequence, count) {
    return this.#until(
      () => (this.#groups.get(sequence)?.frames ?? 0) >= count,
      () => `${count} frames of group ${sequence}`,
    );
  }

  /**
   * What has been seen so far. `missing`: sequences never seen between the first and the last whole group; `broken`: groups in
   * that range that were given up in the middle; `faults`: anything that must never happen. A group that finishes too soon is a
   * fault when its subscription went on; the packages themselves finish the one that is open when a subscription ends.
   */
  report() {
    const whole = this.#wholeGroups();
    const [first, last] = [Math.min(...whole), Math.max(...whole)];
    const [missing, broken, faults] = [[], [], [...this.#faults]];
    for (let sequence = first; sequence <= last; sequence++) {
      const group = this.#groups.get(sequence);
      if (!group) missing.push(sequence);
      else if (group.error || group.isShort) broken.push(sequence);
      if (group?.isShort && whole.some((later) => later > sequence && this.#groups.get(later).subscription === group.subscription)) {
        faults.push(`group ${sequence} finished after ${group.frames} frames`);
      }
    }
    return {
      version: this.#session.version,
      transport: this.#session.transport,
      firstGroup: [...this.#groups.keys()][0],
      groups: whole.length,
      frames: [...this.#groups.values()].reduce((sum, { frames }) => sum + frames, 0),
      bytes: this.#bytes,
      announcedTimes: this.#announcedTimes,
      firstFrameMs: this.#firstFrameMs,
      pauseMs: this.#pauseMs,
      missing,
      broken,
      faults,
    };
  }

  async #follow() {
    for (let event = await this.#announcements.next(); event; event = await this.#announcements.next()) {
      if (event.path !== "") continue;
      this.#subscription?.close();
      this.#subscription = undefined;
      this.#isOnAir = event.active;
      if (event.active) {
        this.#announcedTimes++;
        void this.#subscribe();
      }
      this.#changed();
    }
  }

  async #subscribe() {
    const asked = performance.now();
    const { package: name, path, track, maxAgeMs } = this.#options;
    const subscription = packages[name].subscribe(this.#session, path, track, maxAgeMs);
    this.#subscription = subscription;
    try {
      for (let group = await subscription.nextGroup(); group; group = await subscription.nextGroup()) {
        void this.#read(group, subscription, asked);
      }
    } catch {
      // A subscription ends with an error when its publisher goes away; the next announcement starts another.
    }
  }

  async #read(group, subscription, asked) {
    if (this.#groups.get(group.sequence)?.subscription === subscription) this.#fault(`group ${group.sequence} came twice`);
    const seen = { subscription, frames: 0, isWhole: false, isShort: false, error: undefined };
    this.#groups.set(group.sequence, seen);
    const total = framesPerGroup(this.#options.profile);
    try {
      for (let payload = await group.nextFrame(); payload; payload = await group.nextFrame()) {
        const now = performance.now();
        this.#firstFrameMs ??= now - asked;
        this.#pauseMs = Math.max(this.#pauseMs, now - (this.#cameAt ?? now));
        this.#cameAt = now;
        this.#bytes += payload.length;
        const fault = faultIn(payload, this.#options.profile, group.sequence, seen.frames);
        if (fault) this.#fault(fault);
        seen.frames++;
        this.#changed();
      }
      seen.isWhole = seen.frames === total;
      seen.isShort = !seen.isWhole;
    } catch (error) {
      seen.error = error;
    }
    this.#changed();
  }

  #fault(text) {
    if (this.#faults.length < 10) this.#faults.push(text);
  }

  #wholeGroups() {
    return [...this.#groups].filter(([, { isWhole }]) => isWhole).map(([sequence]) => sequence);
  }

  async #until(test, what) {
    const { promise, resolve } = Promise.withResolvers();
    const waiter = { test, resolve };
    this.#waiting.add(waiter);
    this.#changed();
    try {
      await within(SOON_MS, promise, () => `${what()}; seen so far: ${JSON.stringify(this.report())}`);
    } finally {
      this.#waiting.delete(waiter);
    }
  }

  #changed() {
    for (const { test, resolve } of this.#waiting) if (test()) resolve();
  }
}

/**
 * How long the first frame takes after subscribing, in milliseconds, for so many viewers one after the other, each on a session of
 * its own so that nothing is served from the page itself. The broadcast must be there.
 */
export async function joins(options, count) {
  const { package: name, url, path, track, profile } = options;
  const times = [];
  while (times.length < count) {
    const session = await packages[name].connect(url);
    const asked = performance.now();
    const subscription = packages[name].subscribe(session, path, track);
    const first = async () => {
      for (let group = await subscription.nextGroup(); group; group = await subscription.nextGroup()) {
        try {
          return { group: group.sequence, payload: await group.nextFrame() };
        } catch {
          // Given up before its first frame came; the next one is on its way.
        }
      }
      throw new Error("the subscription ended before its first frame");
    };
    const { group, payload } = await within(SOON_MS, first(), () => `the first frame of join ${times.length + 1}`);
    times.push(performance.now() - asked);
    const fault = payload ? faultIn(payload, profile, group, 0) : `group ${group} has no frame`;
    if (fault) throw new Error(fault);
    // Leaves as a closed page does. (@moq/lite fails on bytes that arrive for a subscription it has closed by itself.)
    session.close();
  }
  return times;
}
