/**
 * One end of a session of `@moq/net`, step by step: what the table of versions tells it to do. `publisher.js` and `viewer.js` are
 * the roles that run by themselves.
 */

import * as Moq from "@moq/net";
import { SOON_MS, within } from "./deadline.js";
import { faultIn, frameAt, framesPerGroup } from "./frames.js";

const TRACK = "data";
const PROFILE = "mixed";

/** How old a group may be that is not the newest, in milliseconds: older than any test. */
const MAX_AGE_MS = 60_000;

/** The payload of every datagram: as much as every path carries. */
const DATAGRAM = new Uint8Array(1_000).fill(0xa5);

/** How long a datagram may be under way before it counts as lost, which it may be, in milliseconds. */
const RESEND_MS = 100;

export class Peer {
  #session;
  #news = new Map();
  #waiting = new Set();
  #broadcast;
  #track;
  #open;
  #written;
  #watched;
  #subscription;
  #groups = new Map();
  #datagram;

  /** Connects to the relay at `url`. */
  static async open({ url }) {
    const peer = new Peer();
    peer.#session = await Moq.Connection.connect(new URL(url));
    void peer.#listen();
    return peer;
  }

  speaks() {
    return { version: this.#session.version, transport: this.#session.transport };
  }

  close() {
    this.#session.close();
  }

  // ---- publishing ----

  publish(path) {
    this.#broadcast = new Moq.Broadcast.Producer();
    this.#track = this.#broadcast.createTrack(TRACK, { latencyMax: MAX_AGE_MS });
    this.#session.publish(Moq.Path.from(path), this.#broadcast);
  }

  withdraw() {
    this.#broadcast.close();
  }

  /** Begins a group and returns its sequence. */
  begin() {
    this.#open = this.#track.appendGroup();
    this.#written = 0;
    return this.#open.sequence;
  }

  /** Writes so many more frames of the group that is open. */
  write(count) {
    for (; count > 0; count--, this.#written++) {
      const payload = frameAt(PROFILE, this.#open.sequence, this.#written);
      this.#open.writeFrame({ payload, timestamp: Moq.Time.Timestamp.now() });
    }
  }

  /** Writes what is missing of the group that is open, and ends it. */
  end() {
    this.write(framesPerGroup(PROFILE) - this.#written);
    this.#open.close();
  }

  /** Sends a group in a datagram and returns its sequence. */
  sendDatagram() {
    return this.#track.appendDatagram(Moq.Time.Timestamp.now(), DATAGRAM);
  }

  /** Waits until the relay asks with this priority. `null`: not at all. */
  async asked(priority) {
    const priorityNow = () => this.#track.subscription.peek()?.priority ?? null;
    await this.#until(() => priorityNow() === priority, () => `priority ${priority}; it is ${priorityNow()}`);
  }

  priority() {
    return this.#track.subscription.peek()?.priority ?? null;
  }

  // ---- watching ----

  /** Waits until `path` is on air, or is not any more. */
  async hears(path, isActive) {
    await this.#until(() => (this.#news.get(path) ?? false) === isActive, () => `${path} to be ${isActive ? "on" : "off"} air`);
  }

  /** Subscribes; every frame that arrives is checked. */
  watch(path, options = {}) {
    this.#watched = this.#session.consume(Moq.Path.from(path));
    this.#subscription = this.#watched.track(TRACK).subscribe({ latencyMax: MAX_AGE_MS, ...options });
    this.#groups = new Map();
    this.#datagram = undefined;
    void this.#collect(this.#subscription, this.#groups);
  }

  update(options) {
    this.#subscription.update({ latencyMax: MAX_AGE_MS, ...options });
  }

  unwatch() {
    this.#subscription.close();
    this.#watched.close();
  }

  /** Waits for so many frames of a group, from its first. */
  async receives(sequence, count) {
    const frames = () => this.#groups.get(sequence)?.frames ?? 0;
    await this.#until(() => frames() >= count, () => `frame ${count} of group ${sequence}; there are ${frames()}`);
    this.#check(sequence);
  }

  /** Waits for the end of a group: `"whole"`, or what cut it short. */
  async ends(sequence) {
    await this.#until(() => this.#groups.get(sequence)?.end !== undefined, () => `the end of group ${sequence}`);
    this.#check(sequence);
    return this.#groups.get(sequence).end;
  }

  /** The sequences of the groups of which anything has come. */
  received() {
    return [...this.#groups.keys()];
  }

  /** Waits for the end of the subscription, and tells whether it came with an error. */
  async over() {
    const error = await within(SOON_MS, Promise.resolve(this.#subscription.closed), () => "the end of the subscription");
    return error !== null;
  }

  /** Asks for one group, and tells how many frames it has. All of them are checked. */
  async fetch(path, sequence) {
    const broadcast = this.#session.consume(Moq.Path.from(path));
    const fetched = async () => {
      const group = await broadcast.track(TRACK).fetchGroup(sequence);
      let frames = 0;
      for (let frame = await group.readFrame(); frame; frame = await group.readFrame()) {
        const fault = faultIn(frame.payload, PROFILE, sequence, frames++);
        if (fault) throw new Error(fault);
      }
      return frames;
    };
    try {
      return await within(SOON_MS, fetched(), () => `group ${sequence}`);
    } finally {
      broadcast.close();
    }
  }

  /** The sequence of the next datagram, whose payload is checked; `null` when none comes in the time one may take. */
  async datagram() {
    let timer;
    const late = new Promise((resolve) => {
      timer = setTimeout(() => resolve(null), RESEND_MS);
    });
    // One that comes too late for this call is the next one's.
    this.#datagram ??= this.#subscription.recvDatagram();
    const datagram = await Promise.race([this.#datagram, late]);
    clearTimeout(timer);
    if (datagram === null) return null;
    this.#datagram = undefined;
    const isRight = datagram.payload.length === DATAGRAM.length && datagram.payload.every((byte) => byte === DATAGRAM[0]);
    if (!isRight) throw new Error(`datagram ${datagram.sequence}: ${datagram.payload.length} bytes, not those that were sent`);
    return datagram.sequence;
  }

  async #listen() {
    const announced = this.#session.announced(Moq.Path.empty());
    for (let event = await announced.next(); event; event = await announced.next()) {
      this.#news.set(event.path, event.active);
      this.#changed();
    }
  }

  async #collect(subscription, groups) {
    try {
      for (let group = await subscription.recvGroup(); group; group = await subscription.recvGroup()) {
        const seen = { frames: 0, end: undefined, fault: groups.has(group.sequence) ? "it came twice" : undefined };
        groups.set(group.sequence, seen);
        void this.#read(group, seen);
      }
    } catch {
      // Its end is asked for by `over`.
    }
  }

  async #read(group, seen) {
    try {
      for (let frame = await group.readFrame(); frame; frame = await group.readFrame()) {
        seen.fault ??= faultIn(frame.payload, PROFILE, group.sequence, seen.frames);
        seen.frames++;
        this.#changed();
      }
      seen.end = seen.frames === framesPerGroup(PROFILE) ? "whole" : `finished after ${seen.frames} frames`;
    } catch (error) {
      seen.end = String(error);
    }
    this.#changed();
  }

  #check(sequence) {
    const { fault } = this.#groups.get(sequence);
    if (fault) throw new Error(`group ${sequence}: ${fault}`);
  }

  async #until(test, what) {
    const { promise, resolve } = Promise.withResolvers();
    const waiter = { test, resolve };
    this.#waiting.add(waiter);
    // What the package keeps in signals rings no bell here.
    const timer = setInterval(() => this.#changed(), 10);
    this.#changed();
    try {
      await within(SOON_MS, promise, what);
    } finally {
      clearInterval(timer);
      this.#waiting.delete(waiter);
    }
  }

  #changed() {
    for (const { test, resolve } of this.#waiting) if (test()) resolve();
  }
}
