/** A clock as a live broadcast: something to look at that needs no camera. */

import * as Moq from "@moq/net";

/** Where `dev/relay.toml` puts the relay. */
export const RELAY_URL = "http://localhost:4443/";
export const PATH = "demo/clock";
export const TRACK = "clock";

/** Milliseconds between two frames, and between two groups. A group begins with each second. */
const FRAME_MS = 100;
const GROUP_MS = 1_000;

/** Each frame is the time at which it was written, as JSON: `{ "sent": milliseconds since 1970 }`. */
export class Clock {
  #connection;
  #track;
  #group;
  #second;
  #timer;

  /** Publishes the clock through the relay at `url`. */
  static async open(url) {
    const clock = new Clock();
    clock.#connection = await Moq.Connection.connect(new URL(url));
    clock.ended = clock.#connection.closed.catch(() => {});
    const broadcast = new Moq.Broadcast.Producer();
    clock.#track = broadcast.createTrack(TRACK, { latencyMax: GROUP_MS });
    clock.#connection.publish(Moq.Path.from(PATH), broadcast);
    clock.#tick();
    return clock;
  }

  close() {
    clearTimeout(this.#timer);
    this.#connection.close();
  }

  #tick() {
    const now = Date.now();
    const second = Math.floor(now / GROUP_MS);
    if (second !== this.#second) {
      this.#group?.close();
      this.#group = this.#track.appendGroup();
      this.#second = second;
    }
    this.#group.writeJson({ sent: now });
    this.#timer = setTimeout(() => this.#tick(), FRAME_MS - (Date.now() % FRAME_MS));
  }
}
