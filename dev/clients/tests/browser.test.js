/** Chromium: pages that publish and pages that watch. */

import { after, before, test } from "node:test";
import assert from "node:assert/strict";
import { startBrowser } from "../driver/browser.js";
import { withoutUdp } from "../driver/ports.js";
import { startRelay } from "../driver/relay.js";
import { carriesEveryFrame, PAIRS } from "../driver/story.js";
import { Table } from "../driver/table.js";

const table = new Table();
let relay;
let browser;
let tcpOnly;

before(async () => {
  relay = await startRelay();
  tcpOnly = await withoutUdp(relay.url);
  browser = await startBrowser();
});

after(async () => {
  table.print(`Chromium ${browser?.version}`);
  await browser?.close();
  tcpOnly?.close();
  await relay?.stop();
});

/** Runs a test in pages of its own, and asks the relay how it is. */
function inPages(name, options, story) {
  test(name, async () => {
    const place = await browser.place(options);
    try {
      await story(place);
    } finally {
      await place.close();
      relay.assertAlive();
    }
  });
}

for (const { from, to } of PAIRS) {
  inPages(`@moq/${from} to @moq/${to} over WebTransport with the pinned certificate`, {}, async (place) => {
    const path = `quic/${from}-${to}`;
    const { sent, seen, row } = await carriesEveryFrame(place, { from, to, publishUrl: relay.url, watchUrl: relay.url, path });
    table.add(row);
    assert.equal(sent.transport, "webtransport");
    assert.equal(seen.transport, "webtransport");
  });

  inPages(`@moq/${from} to @moq/${to} in a browser without WebTransport`, { hasWebTransport: false }, async (place) => {
    const path = `websocket/${from}-${to}`;
    const { sent, seen, row } = await carriesEveryFrame(place, { from, to, publishUrl: relay.url, watchUrl: relay.url, path });
    table.add(row);
    assert.equal(sent.transport, "websocket");
    assert.equal(seen.transport, "websocket");
  });

  inPages(`@moq/${from} to @moq/${to} where UDP is blocked`, {}, async (place) => {
    const path = `blocked/${from}-${to}`;
    const dropped = tcpOnly.swallowed();
    const { sent, seen, row } = await carriesEveryFrame(place, { from, to, publishUrl: tcpOnly.url, watchUrl: tcpOnly.url, path });
    table.add(row);
    assert.equal(sent.transport, "websocket");
    assert.equal(seen.transport, "websocket");
    assert.ok(tcpOnly.swallowed() > dropped, "WebTransport was never tried");
  });
}
