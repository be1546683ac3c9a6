/** Node 20 with `ws`: both packages in both roles, over WebSocket. */

import { after, before, test } from "node:test";
import { nodePlace } from "../driver/node.js";
import { relayForTests } from "../driver/relay.js";
import { carriesEveryFrame, PAIRS } from "../driver/story.js";
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
