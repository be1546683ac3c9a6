/** Node 20 with `ws`: both packages in both roles, over WebSocket. */

import { after, before, test } from "node:test";
import assert from "node:assert/strict";
import { nodePlace } from "../driver/node.js";
import { startRelay } from "../driver/relay.js";
import { carriesEveryFrame, PAIRS } from "../driver/story.js";
import { Table } from "../driver/table.js";

const table = new Table();
let relay;

before(async () => {
  relay = await startRelay();
});

after(async () => {
  table.print(`Node ${process.version}`);
  await relay?.stop();
});

for (const { from, to } of PAIRS) {
  test(`node: @moq/${from} publishes, @moq/${to} watches`, async () => {
    const place = nodePlace();
    try {
      const path = `node/${from}-${to}`;
      const { sent, seen, row } = await carriesEveryFrame(place, { from, to, publishUrl: relay.url, watchUrl: relay.url, path });
      table.add(row);
      assert.equal(sent.transport, "websocket");
      assert.equal(seen.transport, "websocket");
    } finally {
      await place.close();
      relay.assertAlive();
    }
  });
}
