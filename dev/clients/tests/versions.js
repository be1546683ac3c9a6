/**
 * The table of versions: what `@moq/net` does in each version it has, over one transport, through a relay that leaves it no other.
 *
 * The relay also speaks moq-lite-06, which the package does not: by that, `moq` is on the other side of some stories. What a version
 * cannot do stands in `CANNOT`, and a story says what is seen instead.
 */

import { test } from "node:test";
import assert from "node:assert/strict";
import { moq, spelled } from "../driver/moq.js";
import { newRelay } from "../driver/relay.js";

/**
 * By version, best first. "update": telling the publisher of a changed subscription; "end": hearing that a subscription was given
 * up, for which the package waits forever on WebSocket.
 */
const CANNOT = {
  "moq-lite-05": [],
  "moq-lite-04": ["fetch", "datagram", "end"],
  "moq-lite-03": ["fetch", "datagram", "end"],
  "moq-lite-02": ["fetch", "datagram", "end", "update"],
  "moq-lite-01": ["fetch", "datagram", "end", "update"],
};

/** How many datagrams may be lost before it counts as a fault. */
const DATAGRAMS = 50;

/** What happens between a publisher, the relay and one or two viewers, at a path of its own; the last one ends the publisher. */
const stories = {
  async "a broadcast comes, goes and comes back"({ path, publisher, viewer }) {
    await publisher.publish(path);
    await viewer.hears(path, true);
    await publisher.withdraw();
    await viewer.hears(path, false);
    await publisher.publish(path);
    await viewer.hears(path, true);
  },

  async "a late viewer gets the open group from its first frame"({ path, publisher, viewer, other }) {
    await watched(path, publisher, viewer);
    await whole(publisher, viewer);
    const sequence = await publisher.begin();
    await publisher.write(5);
    await viewer.receives(sequence, 5);

    await other.hears(path, true);
    await other.watch(path);
    await other.receives(sequence, 5);
    await publisher.end();
    for (const peer of [viewer, other]) assert.equal(await peer.ends(sequence), "whole");
    assert.equal(Math.min(...(await other.received())), sequence, "nothing older");
  },

  async "a changed subscription reaches the publisher"({ path, publisher, viewer, can }) {
    await watched(path, publisher, viewer, { priority: 9 });
    await publisher.asked(9);
    await viewer.update({ priority: 200 });
    if (can("update")) await publisher.asked(200);
    await whole(publisher, viewer);
    assert.equal(await publisher.priority(), can("update") ? 200 : 9);
  },

  async "whoever leaves frees the publisher, and is served anew"({ path, publisher, viewer }) {
    await watched(path, publisher, viewer);
    await whole(publisher, viewer);
    const sequence = await publisher.begin();
    await publisher.write(5);
    await viewer.receives(sequence, 5);
    await viewer.unwatch();
    await publisher.asked(null);

    await viewer.watch(path);
    await viewer.receives(sequence, 5);
    await publisher.end();
    assert.equal(await viewer.ends(sequence), "whole");
  },

  async "a group is fetched"({ path, publisher, viewer, can }) {
    await watched(path, publisher, viewer);
    for (let group = 0; group < 3; group++) await whole(publisher, viewer);
    if (!can("fetch")) return assert.rejects(viewer.fetch(path, 1));
    assert.equal(await viewer.fetch(path, 1), 10, "frames");
  },

  async "a datagram arrives as one, or not at all"({ path, publisher, viewer, can, transport }) {
    await watched(path, publisher, viewer);
    await whole(publisher, viewer);
    let [sent, received] = [undefined, null];
    // On WebSocket it is a matter of luck: the package sends them if it knew, when the session began, that the relay takes some.
    const isSure = transport === "webtransport" && can("datagram");
    for (let sending = 0; received === null && sending < (isSure ? DATAGRAMS : 1); sending++) {
      sent = await publisher.sendDatagram();
      received = await viewer.datagram();
    }
    await whole(publisher, viewer);
    if (isSure || !can("datagram")) assert.equal(received !== null, isSure, `after ${sent}`);
    assert.ok(!(await viewer.received()).includes(sent), "not on a stream");
  },

  async "moq watches, and fetches what the relay keeps"({ path, publisher, command }) {
    await publisher.publish(path);
    const viewer = command("subscribe", ["--frames", "length", "--from", "0", "--groups", "2", "--wait", "1m"], [path, "data"]);
    await publisher.asked(127);
    for (let group = 0; group < 2; group++) {
      await publisher.begin();
      await publisher.end();
    }
    assert.ok((await viewer.ended()).equals(spelled(0, 1)), "the bytes that were published");
    const fetched = await command("fetch", ["--frames", "length"], [path, "data", "1"]).ended();
    assert.ok(fetched.equals(spelled(1)), "the bytes that were published");
  },

  async "moq publishes"({ path, viewer, command }) {
    const rule = ["--frames", "length", "--group-frames", "10", "--wait"];
    // Its input goes on, since the package cuts off what it has not read yet when a track ends.
    command("publish", rule, [path, "data"], spelled(0, 1, 2));
    await viewer.hears(path, true);
    await viewer.watch(path);
    for (const sequence of [0, 1]) assert.equal(await viewer.ends(sequence), "whole");
  },

  async "a publisher that goes is told of, and its successor found"({ path, publisher, viewer, other, can }) {
    await watched(path, publisher, viewer);
    await whole(publisher, viewer);
    const sequence = await publisher.begin();
    await publisher.write(5);
    await viewer.receives(sequence, 5);
    await publisher.close();
    assert.notEqual(await viewer.ends(sequence), "whole");
    if (can("end")) await viewer.over();
    await viewer.hears(path, false);

    await watched(path, other, viewer);
    await whole(other, viewer);
  },
};

/** Publishes, and has the viewer watch. */
async function watched(path, publisher, viewer, options) {
  await publisher.publish(path);
  await viewer.hears(path, true);
  await viewer.watch(path, options);
}

/** One more group, from end to end. */
async function whole(publisher, viewer) {
  const sequence = await publisher.begin();
  await publisher.end();
  assert.equal(await viewer.ends(sequence), "whole");
}

/**
 * Tells every story in every version. `open` makes a place for the roles, `transport` is what they come over there.
 */
export function tellVersions(transport, open) {
  for (const [version, cannot] of Object.entries(CANNOT)) {
    test(`${version} over ${transport}`, { timeout: 120_000 }, async (t) => {
      const relay = await newRelay(["moq-lite-06", version]);
      const url = transport === "websocket" ? relay.url.replace("http:", "ws:") : relay.url;
      const can = (skill) => !cannot.includes(skill);
      const place = await open();
      try {
        const [publisher, viewer, other] = await Promise.all([0, 1, 2].map(() => place.peer({ url: relay.url })));
        for (const peer of [publisher, viewer, other]) assert.deepEqual(await peer.speaks(), { version, transport });
        for (const [name, story] of Object.entries(stories)) {
          const path = name.replaceAll(/[ ,]+/g, "-");
          await t.test(name, () => withCommands(url, (command) => story({ path, publisher, viewer, other, can, command, transport })));
          relay.assertAlive();
        }
      } finally {
        await place.close();
        await relay.stop();
      }
    });
  }
}

/** Gives a story the `moq` command, in the newest version, and ends what it has left running. */
async function withCommands(url, story) {
  const commands = [];
  const command = (name, options, names, input) => {
    commands.push(moq([name, "--protocol", "moq-lite-06", ...options, url, ...names], input));
    return commands.at(-1);
  };
  try {
    await story(command);
  } finally {
    for (const one of commands) one.kill();
  }
}
