/** Somebody who shows a token and tries what it allows: comes in or not, hears, watches, publishes, is shown out. */

import { SOON_MS, within } from "./deadline.js";
import { faultIn, frameAt } from "./frames.js";
import { packages } from "./packages.js";

/** All tracks have this name and these frames. */
const TRACK = "data";
const PROFILE = "light";

export class Guest {
  #package;
  #session;
  #refusal;
  /** What is announced to this guest now. */
  #heard = new Set();
  #listeners = new Set();
  #ended = Promise.withResolvers();

  /** Asks to come in; `admission` says what came of it. `options`: `package` ("net" or "lite") and `url`, with its token. */
  static async open({ package: name, url }) {
    const guest = new Guest();
    guest.#package = packages[name];
    const asked = guest.#package.connect(url).catch((error) => void (guest.#refusal = String(error)));
    guest.#session = await within(SOON_MS, asked, () => "an answer to the request to come in");
    if (guest.#session) {
      const end = () => guest.#ended.resolve(Date.now());
      guest.#session.closed.then(end, end);
      void guest.#listen();
    }
    return guest;
  }

  /** `isIn`, and over which `transport` and `version`, or with which `refusal`. */
  admission() {
    const { transport, version } = this.#session ?? {};
    return { isIn: this.#session !== undefined, transport, version, refusal: this.#refusal };
  }

  /** Announces a broadcast, and gives whoever subscribes to it one frame. */
  publish(path) {
    this.#package.publish(this.#session, path, (sink) => {
      sink.startGroup(0);
      sink.writeFrame(frameAt(PROFILE, 0, 0), performance.now());
    });
  }

  /** Whether `path` is announced to this guest within `ms` milliseconds. */
  async hears(path, ms = SOON_MS) {
    const { promise, resolve } = Promise.withResolvers();
    const look = () => this.#heard.has(path) && resolve();
    this.#listeners.add(look);
    look();
    try {
      await within(ms, promise, () => path);
      return true;
    } catch {
      return false;
    } finally {
      this.#listeners.delete(look);
    }
  }

  /** What comes of a subscription: "frame", the right one, or "refused". */
  async watch(path) {
    const subscription = this.#package.subscribe(this.#session, path, TRACK);
    const first = async () => {
      try {
        const group = await subscription.nextGroup();
        const payload = await group?.nextFrame();
        return payload ? (faultIn(payload, PROFILE, group.sequence, 0) ?? "frame") : "refused";
      } catch {
        return "refused";
      }
    };
    return within(SOON_MS, first(), () => `an answer to the subscription to ${path}`);
  }

  /** When the session ended, in milliseconds since 1970; waits for that. */
  ended() {
    return within(SOON_MS, this.#ended.promise, () => "the end of the session");
  }

  async #listen() {
    try {
      const announcements = this.#package.announced(this.#session, "");
      for (let event = await announcements.next(); event; event = await announcements.next()) {
        if (event.active) this.#heard.add(event.path);
        else this.#heard.delete(event.path);
        for (const look of this.#listeners) look();
      }
    } catch {
      // Whoever may not subscribe is refused the announcements as well.
    }
  }
}
