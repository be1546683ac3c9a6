/** A publisher that keeps coming back: one broadcast, a new session for each of its lives. */

import { Publisher } from "./publisher.js";

/** Group sequences of two lives are at least this far apart, so that every frame tells which life it is from. */
export const GROUPS_PER_LIFE = 1_000;

export class Restless {
  #options;
  #publisher;
  #life = 0;

  /** `options` as for a `Publisher`, and `frameMs`. The first life begins at once. */
  static async open(options) {
    const restless = new Restless();
    restless.#options = options;
    await restless.#begin();
    return restless;
  }

  /**
   * Ends this life in the middle of whatever it was sending, and begins the next: afterwards, or, when they `overlap`, before.
   * Gives the first group of the new one.
   */
  async reconnect({ overlap }) {
    const old = this.#publisher;
    if (!overlap) old.drop();
    const first = await this.#begin();
    if (overlap) old.drop();
    return first;
  }

  report() {
    return { life: this.#life, ...this.#publisher.report() };
  }

  async #begin() {
    const firstGroup = ++this.#life * GROUPS_PER_LIFE;
    this.#publisher = await Publisher.open({ ...this.#options, firstGroup });
    this.#publisher.run(this.#options.frameMs);
    return firstGroup;
  }
}
