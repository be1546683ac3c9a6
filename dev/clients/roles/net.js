/** `@moq/net` behind the face that `publisher.js` and `viewer.js` know; `lite.js` is its twin. */

import * as Moq from "@moq/net";

/** How old a group may be that is not the newest, in milliseconds, unless a viewer says otherwise: long, so that a gap is a loss. */
const MAX_AGE_MS = 5_000;

/**
 * Opens a session. The package tries WebTransport, then WebSocket, and is left to itself in that, unless there is to be no
 * WebSocket.
 */
export async function connect(url, { webSocket = true } = {}) {
  const connection = await Moq.Connection.connect(new URL(url), { websocket: { enabled: webSocket } });
  return {
    connection,
    version: connection.version,
    transport: connection.transport,
    closed: connection.closed,
    close: () => connection.close(),
  };
}

/**
 * Publishes `path` until it is closed; `serve(sink)` is called each time the relay asks for a track, `has(name)`, which is refused
 * otherwise.
 */
export function publish({ connection }, path, serve, has = () => true) {
  const broadcast = new Moq.Broadcast.Producer();
  connection.publish(Moq.Path.from(path), broadcast);
  void (async () => {
    for (let request = await broadcast.requested(); request; request = await broadcast.requested()) {
      if (has(request.name)) serve(new Sink(request.accept({ latencyMax: MAX_AGE_MS })));
      else request.reject(new Error("not published"));
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
  }

  get isClosed() {
    return this.#track.closed.peek() !== undefined;
  }

  /** Settles once nobody reads this. */
  unread() {
    return this.#track.unused();
  }

  startGroup(sequence) {
    this.#group = new Moq.Group.Producer(sequence);
    this.#track.writeGroup(this.#group);
  }

  writeFrame(payload, timestampMs) {
    this.#group.writeFrame({ payload, timestamp: Moq.Time.Timestamp.fromMillis(timestampMs) });
  }

  endGroup() {
    this.#group.close();
  }
}

/** Subscribes to a track of a broadcast that has been announced. */
export function subscribe({ connection }, path, track, maxAgeMs = MAX_AGE_MS) {
  const broadcast = connection.consume(Moq.Path.from(path));
  const subscriber = broadcast.track(track).subscribe({ latencyMax: maxAgeMs });
  return {
    async nextGroup() {
      const group = await subscriber.recvGroup();
      return group && { sequence: group.sequence, nextFrame: async () => (await group.readFrame())?.payload };
    },
    close() {
      subscriber.close();
      broadcast.close();
    },
  };
}

/** The announcements under `prefix`: `next()` gives `{ path, active }`, paths relative to the prefix. */
export function announced({ connection }, prefix) {
  return connection.announced(Moq.Path.from(prefix));
}
