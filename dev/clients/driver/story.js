/** The stories that are told in more than one place. */

import assert from "node:assert/strict";
import { setTimeout as pause } from "node:timers/promises";
import { badNetwork } from "./impair.js";
import { median } from "./table.js";

/** Joins measured for each pair, and the bound on the middle one, in milliseconds. */
const JOINS = 20;
const JOIN_MEDIAN_MS = 50;

/** How often the joins are measured before the bound counts as missed. Whatever else the machine does only ever adds time. */
const JOIN_SERIES = 3;

/** Milliseconds between two frames of a live publisher. */
export const FRAME_MS = 20;

/** How many whole groups a viewer must have seen. */
const GROUPS = 12;

/** The version that each package settles on with a relay that knows them all. */
const VERSIONS = {
  net: { webtransport: "moq-lite-05", websocket: "moq-lite-05" },
  // On WebSocket this package can name no version beforehand, so it falls back on SETUP.
  lite: { webtransport: "moq-lite-04", websocket: "moq-lite-02" },
};

/**
 * One publishes, one watches, `JOINS` more look in: no gap, no wrong byte, and a first frame at once. `from` and `to` name the
 * packages, `url` the relay as they reach it. The figures go to `table`.
 */
export async function carriesEveryFrame(place, { from, to, url, transport, path, table }) {
  const broadcast = { url, path, track: "data", profile: "mixed" };
  const publisher = await place.publisher({ package: from, ...broadcast });
  await publisher.run(FRAME_MS);
  const viewer = await place.viewer({ package: to, ...broadcast });
  await viewer.wholeGroups(1);
  let times = await place.joins({ package: to, ...broadcast }, JOINS);
  for (let series = 2; median(times) > JOIN_MEDIAN_MS && series <= JOIN_SERIES; series++) {
    times = await place.joins({ package: to, ...broadcast }, JOINS);
  }
  await viewer.wholeGroups(GROUPS);

  const [sent, seen] = [await publisher.report(), await viewer.report()];
  table.add({
    publisher: `@moq/${from} ${sent.version} ${sent.transport}`,
    viewer: `@moq/${to} ${seen.version} ${seen.transport}`,
    frames: seen.frames,
    bytes: seen.bytes,
    missing: seen.missing.length,
    faults: seen.faults.length,
    "first ms": seen.firstFrameMs.toFixed(1),
    "join median ms": median(times).toFixed(1),
    "join max ms": Math.max(...times).toFixed(1),
  });
  assert.deepEqual([sent.transport, sent.version], [transport, VERSIONS[from][transport]], "what the publisher speaks");
  assert.deepEqual([seen.transport, seen.version], [transport, VERSIONS[to][transport]], "what the viewer speaks");
  assertUnharmed(seen);
  assert.ok(
    median(times) <= JOIN_MEDIAN_MS,
    `the middle join took ${median(times).toFixed(1)} ms, more than ${JOIN_MEDIAN_MS}: ${times.map((ms) => ms.toFixed(1))}`,
  );
}

/** Milliseconds between two frames of a video of 1.2 Mbit/s, with the profile of that name. */
const BAD_FRAME_MS = 66;

/**
 * The same where a viewer's port changes. Only what the viewer sends tells its new port, and all it sends is acknowledgements: so
 * that one is always under way, frames come faster than packets go back and forth.
 */
const REBIND_FRAME_MS = 20;

/** How long the network is bad before playback is looked at again, in milliseconds; blackholes end before. */
const BAD_MS = 6_500;

/** Of every bad network, so that it decides alike in each run. */
const SEED = "7";

/**
 * One publishes, one watches, both @moq/net over WebTransport, and `side` is behind a network that does `args`: no wrong byte, no
 * group twice, one session throughout, and no pause longer than `pauseMs`. The figures go to `table`.
 */
export async function playsOn(place, { name, args, side, pauseMs, url, table }) {
  const network = await badNetwork(url, [...args, "--seed", SEED]);
  const door = (of) => ({ package: "net", webSocket: false, url: of === side ? network.url : url });
  const broadcast = { path: `bad/${name}`, track: "data", profile: "video" };
  let seen;
  try {
    const publisher = await place.publisher({ ...door("publisher"), ...broadcast });
    await publisher.run(args.includes("--rebind") ? REBIND_FRAME_MS : BAD_FRAME_MS);
    const viewer = await place.viewer({ ...door("viewer"), ...broadcast });
    await viewer.wholeGroups(1);
    await pause(BAD_MS);
    const { nextGroup } = await publisher.report();
    await viewer.wholeGroup(nextGroup + 1);
    seen = await viewer.report();
  } finally {
    const done = await network.stop();
    process.stdout.write(`\n${name}, at the ${side}\n${done}`);
  }
  table.add({
    network: `${name}, at the ${side}`,
    viewer: `@moq/net ${seen.version} ${seen.transport}`,
    frames: seen.frames,
    missing: seen.missing.length,
    broken: seen.broken.length,
    faults: seen.faults.length,
    "pause max ms": seen.pauseMs.toFixed(0),
  });
  assert.deepEqual([seen.transport, seen.version], ["webtransport", "moq-lite-05"]);
  assert.deepEqual([seen.faults, seen.announcedTimes], [[], 1], name);
  assert.ok(seen.pauseMs <= pauseMs, `${name}: nothing came for ${seen.pauseMs.toFixed(0)} ms, more than ${pauseMs}`);
}

/** No group has been lost and no byte is wrong. `report` is a viewer's. */
export function assertUnharmed({ faults, missing, broken }) {
  assert.deepEqual({ faults, missing, broken }, { faults: [], missing: [], broken: [] });
}

/** Every ordered pair of packages. */
export const PAIRS = ["net", "lite"].flatMap((from) => ["net", "lite"].map((to) => ({ from, to })));
