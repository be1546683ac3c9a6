/** The publishing role: one broadcast with one track, in step with a clock or with the test. */

import { SOON_MS, within } from "./deadline.js";
import { frameAt, framesPerGroup } from "./frames.js";
import { packages } from "./packages.js";

export class Publisher {
  #options;
  #session;
  #broadcast;
  #sinks = new Set();
  /** The newest group, and when each of its frames was written. */
  #group;
  #stamps = [];

  /**
   * Connects and publishes. Nothing is written before `run` or `write`.
   *
   * `options`: `package` ("net" or "lite"), `url` of the relay, `path` of the broadcast, `track`, `profile` of its frames,
   * `firstGroup` (default 0).
   */
  static async open(options) {
    const publisher = new Publisher();
    publisher.#options = options;
    publisher.#group = options.firstGroup ?? 0;
    publisher.#session = await packages[options.package].connect(options.url, options);
    publisher.publish();
    return publisher;
  }

  /** Publishes the broadcast, which it does from the start: again, once it has been withdrawn. */
  publish() {
    const { package: name, path, track } = this.#options;
    this.#broadcast = packages[name].publish(
      this.#session,
      path,
      (sink) => this.#serve(sink),
      (asked) => asked === track,
    );
  }

  /** Takes the broadcast off the air, and keeps the session. */
  withdraw() {
    this.#broadcast.close();
  }

  /** Writes a frame every `frameMs` milliseconds from now on. */
  run(frameMs) {
    const begun = performance.now();
    let written = 0;
    const tick = () => {
      // A late timer makes up for what it missed, so the rate holds when the machine is busy.
      for (; written * frameMs <= performance.now() - begun; written++) this.#writeOne();
      setTimeout(tick, begun + written * frameMs - performance.now());
    };
    tick();
  }

  /** Writes the next `count` frames at once. */
  write(count) {
    for (let i = 0; i < count; i++) this.#writeOne();
  }

  /** Resolves when the relay has let go of the track: nobody watches it. */
  unread() {
    return within(SOON_MS, Promise.all([...this.#sinks].map((sink) => sink.unread())), () => "the relay to let go of the track");
  }

  /** What has been published: `nextGroup` and `nextFrame` say where the next frame goes. */
  report() {
    const isWhole = this.#stamps.length === this.#total;
    return {
      version: this.#session.version,
      transport: this.#session.transport,
      nextGroup: isWhole ? this.#group + 1 : this.#group,
      nextFrame: isWhole ? 0 : this.#stamps.length,
    };
  }

  /** A new reader gets the newest group from its first frame, whether it is still open or not. */
  #serve(sink) {
    if (this.#stamps.length > 0) {
      sink.startGroup(this.#group);
      for (let frame = 0; frame < this.#stamps.length; frame++) this.#give(sink, frame);
    }
    this.#sinks.add(sink);
  }

  #writeOne() {
    if (this.#stamps.length === this.#total) {
      this.#group++;
      this.#stamps = [];
    }
    this.#stamps.push(performance.now());
    for (const sink of this.#sinks) {
      if (sink.isClosed) {
        this.#sinks.delete(sink);
        continue;
      }
      if (this.#stamps.length === 1) sink.startGroup(this.#group);
      this.#give(sink, this.#stamps.length - 1);
    }
  }

  #give(sink, frame) {
    sink.writeFrame(frameAt(this.#options.profile, this.#group, frame), this.#stamps[frame]);
    if (frame + 1 === this.#total) sink.endGroup();
  }

  get #total() {
    return framesPerGroup(this.#options.profile);
  }
}
