/**
 * `@moq/lite` behind the face that `publisher.js` and `viewer.js` know; `net.js` is its twin. `@moq/net` 0.1, which came after it, has
 * the same shape, and `@kixelated/moq` 0.9, which came before, nearly so.
 */

import * as Moq from "@moq/lite";

/** The priority this package's viewers ask for. One track a session, so any will do. */
const PRIORITY = 1;

/** What a connection speaks that does not tell: `@kixelated/moq` knows no other version. */
const UNTOLD = "moq-lite-01";

/**
 * Opens a session. The package tries WebTransport, then WebSocket, and is left to itself in that, unless there is to be no
 * WebSocket.
 */
export async function connect(url, { webSocket = true } = {}) {
  const connection = await Moq.Connection.connect(new URL(url), { websocket: { enabled: webSocket } });
  return {
    connection,
    version: connection.version ?? UNTOLD,
    // The package does not tell; only WebTransport negotiates a version newer than 02 here.
    transport: connection.version === "moq-lite-02" ? "websocket" : "webtransport",
    closed: connection.closed,
    close: () => connection.close(),
  };
}

/** Publishes `path` until it is closed; `serve(sink)` is called each time the relay asks for a track. */
export function publish({ connection }, path, serve, has = () => true) {
  const broadcast = new Moq.Broadcast();
  connection.publish(Moq.Path.from(path), broadcast);
  void (async () => {
    for (let request = await broadcast.requested(); request; request = await broadcast.requested()) {
      if (has(request.track.name)) serve(new Sink(request.track));
      else request.track.close(new Error("not published"));
    }
  })();
  return { close: () => broadcast.close() };
}

/** One track on its way to the relay. */
class Sink {
  #track;
  #group;

  constructor(track) {
    this.#track = track;
    this.name = track.name;
    this.isClosed = false;
    void track.closed.then(() => {
      this.isClosed = true;
    });
  }

  /** Settles once nobody reads this. */
  unread() {
    return this.#track.closed;
  }

  startGroup(sequence) {
    this.#group = new Moq.Group(sequence);
    this.#track.writeGroup(this.#group);
  }

  // The versions this package speaks carry no time.
  writeFrame(payload) {
    this.#group.writeFrame(payload);
  }

  endGroup() {
    this.#group.close();
  }
}

/** Subscribes to a track of a broadcast that has been announced. */
export function subscribe({ connection }, path, track) {
  const broadcast = connection.consume(Moq.Path.from(path));
  const subscription = broadcast.subscribe(track, PRIORITY);
  return {
    async nextGroup() {
      const group = await (subscription.recvGroup ?? subscription.nextGroup).call(subscription);
      return group && { sequence: group.sequence, nextFrame: () => group.readFrame() };
    },
    close() {
      subscription.close();
      broadcast.close();
    },
  };
}

/** The announcements under `prefix`: `next()` gives `{ path, active }`, paths relative to the prefix. */
export function announced({ connection }, prefix) {
  const root = Moq.Path.from(prefix);
  const announcements = connection.announced(root);
  return {
    async next() {
      const event = await announcements.next();
      // This package gives whole paths.
      return event && { path: Moq.Path.stripPrefix(root, event.path), active: event.active };
    },
    close: () => announcements.close(),
  };
}
