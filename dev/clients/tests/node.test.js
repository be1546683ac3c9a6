/** Node 20 with `ws`: both packages in both roles, over WebSocket. */

import assert from "node:assert/strict";
import { after, before, test } from "node:test";
import { nodePlace } from "../driver/node.js";
import { relayForTests } from "../driver/relay.js";
import { carriesEveryFrame, FRAME_MS, PAIRS } from "../driver/story.js";
import { Table } from "../driver/table.js";

const table = new Table();
let relay;

before(async () => {
  relay = await relayForTests();
});

after(async () => {
  table.print(`Node ${process.version}`);
  await relay?.stop();
});

for (const { from, to } of PAIRS) {
  test(`node: @moq/${from} publishes, @moq/${to} watches`, { timeout: 60_000 }, async () => {
    const place = nodePlace();
    try {
      const path = `node/${from}-${to}`;
      await carriesEveryFrame(place, { from, to, url: relay.url, transport: "websocket", path, table });
    } finally {
      await place.close();
      relay.assertAlive();
    }
  });
}

for (const from of ["net", "lite"]) {
  test(`node: HTTP fetches what @moq/${from} publishes, and misses what it does not`, { timeout: 60_000 }, async () => {
    const place = nodePlace();
    try {
      const path = `node/http-${from}`;
      const publisher = await place.publisher({ package: from, url: relay.url, path, track: "data", profile: "mixed" });
      await publisher.run(FRAME_MS);
      const get = async (wanted) => {
        const answer = await fetch(`${relay.url}fetch/${path}/${wanted}`);
        return { status: answer.status, length: (await answer.arrayBuffer()).byteLength };
      };

      assert.equal((await get("data?wait=10s")).status, 200);
      const { nextGroup } = await publisher.report();
      const coming = await get(`data?group=${nextGroup + 1}&wait=10s`);
      assert.equal(coming.status, 200);
      assert.ok(coming.length > 0);
      // The package leaves a request open until it has the group.
      const asked = Date.now();
      assert.equal((await get(`data?group=${nextGroup + 100000}`)).status, 404);
      assert.ok(Date.now() - asked < 4000, `${Date.now() - asked} ms`);
      // The code of its refusal is 0, whatever it refuses.
      assert.equal((await get("other")).status, 404);
    } finally {
      await place.close();
      relay.assertAlive();
    }
  });
}
