/** Chromium: pages that publish and pages that watch. */

import { after, before, test } from "node:test";
import assert from "node:assert/strict";
import { startBrowser } from "../driver/browser.js";
import { withoutUdp } from "../driver/ports.js";
import { relayForTests } from "../driver/relay.js";
import { assertUnharmed, carriesEveryFrame, FRAME_MS, PAIRS, playsOn } from "../driver/story.js";
import { Table } from "../driver/table.js";

const table = new Table();
const badNetworks = new Table();
let relay;
let browser;
let tcpOnly;

before(async () => {
  relay = await relayForTests();
  tcpOnly = await withoutUdp(relay.url);
  browser = await startBrowser();
});

after(async () => {
  table.print(`Chromium ${browser?.version}`);
  badNetworks.print(`Chromium ${browser?.version}, over bad networks`);
  await browser?.close();
  tcpOnly?.close();
  await relay?.stop();
});

/** Runs a test in pages of its own, and asks the relay how it is. */
function inPages(name, options, story) {
  test(name, { timeout: 60_000 }, async () => {
    const place = await browser.place(options);
    try {
      await story(place);
    } catch (error) {
      if (place.errors.length > 0) error.message += `\nNobody waited for these, in the pages:\n${place.errors.join("\n")}`;
      throw error;
    } finally {
      await place.close();
      relay.assertAlive();
    }
  });
}

for (const { from, to } of PAIRS) {
  inPages(`@moq/${from} to @moq/${to} over WebTransport with the pinned certificate`, {}, async (place) => {
    const path = `quic/${from}-${to}`;
    await carriesEveryFrame(place, { from, to, url: relay.url, transport: "webtransport", path, table });
  });

  inPages(`@moq/${from} to @moq/${to} in a browser without WebTransport`, { hasWebTransport: false }, async (place) => {
    const path = `websocket/${from}-${to}`;
    await carriesEveryFrame(place, { from, to, url: relay.url, transport: "websocket", path, table });
  });

  inPages(`@moq/${from} to @moq/${to} where UDP is blocked`, {}, async (place) => {
    const path = `blocked/${from}-${to}`;
    const dropped = tcpOnly.swallowed();
    await carriesEveryFrame(place, { from, to, url: tcpOnly.url, transport: "websocket", path, table });
    assert.ok(tcpOnly.swallowed() > dropped, "WebTransport was never tried");
  });
}

inPages("four pages watch one broadcast, and its publisher sends it once", {}, async (place) => {
  const broadcast = { url: relay.url, path: "four", track: "data", profile: "video" };
  const publisher = await place.publisher({ package: "net", ...broadcast });
  await publisher.run(FRAME_MS);
  const viewers = await Promise.all(["net", "net", "lite", "lite"].map((name) => place.viewer({ package: name, ...broadcast })));
  await Promise.all(viewers.map((viewer) => viewer.wholeGroups(12)));

  const [{ streams }, { nextGroup }] = [await publisher.sent(), await publisher.report()];
  // One stream for each group, the one under way included, and one for the session's SETUP.
  assert.ok(streams <= nextGroup + 2, `${streams} streams for ${nextGroup} groups`);
  for (const viewer of viewers) assertUnharmed(await viewer.report());
});

for (const { from, to } of PAIRS) {
  inPages(`a late page gets the current group from its first frame (@moq/${from} to @moq/${to})`, {}, async (place) => {
    const broadcast = { url: relay.url, path: `late/${from}-${to}`, track: "data", profile: "mixed" };
    const publisher = await place.publisher({ package: from, ...broadcast });
    const early = await place.viewer({ package: to, ...broadcast });
    await publisher.write(1);
    await early.framesOf(0, 1);
    await publisher.write(13);
    await early.framesOf(1, 4);

    const late = await place.viewer({ package: to, ...broadcast });
    await late.framesOf(1, 4);
    assert.equal((await late.report()).firstGroup, 1);

    await publisher.write(6);
    for (const viewer of [early, late]) {
      await viewer.wholeGroup(1);
      assert.deepEqual((await viewer.report()).faults, []);
    }
    // A group is a stream; the publishers of @moq/net open one more, for SETUP.
    const setups = from === "net" ? 1 : 0;
    assert.equal((await publisher.sent()).streams, 2 + setups, "streams, for two groups");
  });
}

for (const { from, to } of PAIRS) {
  inPages(`a page that comes back to an empty room gets the current group too (@moq/${from} to @moq/${to})`, {}, async (place) => {
    const broadcast = { url: relay.url, path: `empty/${from}-${to}`, track: "data", profile: "mixed" };
    const publisher = await place.publisher({ package: from, ...broadcast });
    const early = await place.viewer({ package: to, ...broadcast });
    await publisher.write(3);
    await early.framesOf(0, 3);
    await early.leave();
    await publisher.unread();
    await publisher.write(3);

    const late = await place.viewer({ package: to, ...broadcast });
    await late.framesOf(0, 6);
    await publisher.write(4);
    await late.wholeGroup(0);
    assert.deepEqual((await late.report()).faults, []);
  });
}

inPages("a page that stops reading loses groups, and the others do not", {}, async (place) => {
  const broadcast = { url: relay.url, path: "stalled", track: "data", profile: "heavy" };
  const publisher = await place.publisher({ package: "net", ...broadcast });
  await publisher.run(25);
  // Over WebSocket, because Chromium itself keeps many megabytes of what comes over WebTransport and is not read.
  const slow = await place.viewer({ package: "net", ...broadcast, url: tcpOnly.url, maxAgeMs: 500 });
  const others = await Promise.all(["net", "lite"].map((name) => place.viewer({ package: name, ...broadcast })));
  await Promise.all([slow, ...others].map((viewer) => viewer.wholeGroups(3)));

  const { release } = await slow.stall();
  const { nextGroup } = await publisher.report();
  try {
    await Promise.all(others.map((viewer) => viewer.wholeGroup(nextGroup + 10)));
  } finally {
    await release();
  }
  await slow.wholeGroup(nextGroup + 10);
  for (const viewer of others) assertUnharmed(await viewer.report());
  const { faults, missing, broken } = await slow.report();
  assert.deepEqual(faults, []);
  assert.ok(missing.length + broken.length > 0, "the page that stopped reading has lost nothing");
});

for (const from of ["net", "lite"]) {
  inPages(`a publisher (@moq/${from}) that reconnects 50 times leaves no viewer stuck and no wrong byte`, {}, async (place) => {
    const load = { url: relay.url, path: `load/${from}`, track: "data", profile: "video" };
    const ballast = await place.publisher({ package: "net", ...load });
    await ballast.run(FRAME_MS);
    const bystander = await place.viewer({ package: "net", ...load });

    const broadcast = { path: `restless/${from}`, track: "data", profile: "light" };
    const viewers = await Promise.all(
      [
        { package: "net", url: relay.url },
        { package: "lite", url: relay.url },
        { package: "net", url: tcpOnly.url },
        { package: "lite", url: tcpOnly.url },
      ].map((client) => place.viewer({ ...client, ...broadcast })),
    );
    let publisher;
    for (let life = 0; life <= 50; life++) {
      // Sequences tell which life a group is from.
      const firstGroup = life * 1_000;
      const old = publisher;
      const overlaps = life % 5 === 0;
      if (!overlaps) await old?.leave();
      publisher = await place.publisher({ package: from, url: relay.url, ...broadcast, firstGroup });
      await publisher.run(5);
      if (overlaps) await old?.leave();
      // In the other lives it is gone again whether anybody has seen it or not.
      if (life % 2 === 0) await Promise.all(viewers.map((viewer) => viewer.wholeGroup(firstGroup)));
    }
    for (const viewer of viewers) assert.deepEqual((await viewer.report()).faults, []);
    assertUnharmed(await bystander.report());
  });
}

inPages("playback goes on over bad networks", {}, async (place) => {
  const rows = [
    { name: "2 % loss", args: ["--loss", "2%", "--delay", "20ms"], side: "viewer", pauseMs: 2_000 },
    { name: "2 % loss", args: ["--loss", "2%", "--delay", "20ms"], side: "publisher", pauseMs: 2_000 },
    { name: "5 % bursts", args: ["--burst", "5%x6", "--delay", "20ms"], side: "viewer", pauseMs: 2_500 },
    { name: "port changes every 2 s", args: ["--rebind", "2s", "--delay", "20ms"], side: "viewer", pauseMs: 2_000 },
    // The relay finds out within a quarter of a second that something passes again.
    { name: "2 s of nothing", args: ["--blackhole", "3s+2s", "--delay", "20ms"], side: "viewer", pauseMs: 3_500 },
  ];
  await Promise.all(rows.map((row, at) => playsOn(place, { ...row, name: `${at + 1}: ${row.name}`, url: relay.url, table: badNetworks })));
});
