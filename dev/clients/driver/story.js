/** The stories that are told in more than one place. */

import assert from "node:assert/strict";
import { median } from "./table.js";

/** Joins measured for each pair, and the bound on the middle one, in milliseconds. */
const JOINS = 20;
const JOIN_MEDIAN_MS = 50;

/** Milliseconds between two frames of a live publisher. */
export const FRAME_MS = 20;

/** How many whole groups a viewer must have seen. */
const GROUPS = 12;

/**
 * One publishes, one watches, `JOINS` more look in: no gap, no wrong byte, and a first frame at once. `from` and `to` name the
 * packages. Returns the row of figures.
 */
export async function carriesEveryFrame(place, { from, to, publishUrl, watchUrl, path }) {
  const broadcast = { path, track: "data", profile: "mixed" };
  const publisher = await place.publisher({ package: from, url: publishUrl, ...broadcast });
  await publisher.run(FRAME_MS);
  const viewer = await place.viewer({ package: to, url: watchUrl, ...broadcast });
  await viewer.wholeGroups(1);
  const times = await place.joins({ package: to, url: watchUrl, ...broadcast }, JOINS);
  await viewer.wholeGroups(GROUPS);

  const [sent, seen] = [await publisher.report(), await viewer.report()];
  assert.deepEqual(seen.faults, []);
  assert.deepEqual(seen.missing, [], "groups that never came");
  assert.deepEqual(seen.broken, [], "groups given up in the middle");
  assert.ok(
    median(times) <= JOIN_MEDIAN_MS,
    `the middle join took ${median(times).toFixed(1)} ms, more than ${JOIN_MEDIAN_MS}: ${times.map((ms) => ms.toFixed(1))}`,
  );
  return {
    sent,
    seen,
    row: {
      publisher: `@moq/${from} ${sent.version} ${sent.transport}`,
      viewer: `@moq/${to} ${seen.version} ${seen.transport}`,
      frames: seen.frames,
      bytes: seen.bytes,
      "first ms": seen.firstFrameMs.toFixed(1),
      "join median ms": median(times).toFixed(1),
      "join max ms": Math.max(...times).toFixed(1),
    },
  };
}

/** Every ordered pair of packages. */
export const PAIRS = ["net", "lite"].flatMap((from) => ["net", "lite"].map((to) => ({ from, to })));
