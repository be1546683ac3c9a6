/**
 * Pictures: `dev/up` as the README and `docs/start.md` have it, and its page in Chromium, from `<moq-publish>` and from ffmpeg to
 * `<moq-watch>`; and the lines for ffmpeg and OBS in `docs/start.md`.
 */

import assert from "node:assert/strict";
import { mkdtemp, rm } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { after, before, test } from "node:test";
import { launch } from "../driver/browser.js";
import { FORMS, makeFilm, publishPicture, streamTo } from "../driver/ffmpeg.js";
import { commandsOf, run } from "../driver/page.js";
import { freePort } from "../driver/ports.js";
import { Table } from "../driver/table.js";
import { startUp } from "../driver/up.js";

/** How long a picture is watched, in milliseconds. */
const WATCH_MS = 1_000 * Number(process.env.MEDIA_SECONDS ?? 10);
/** How long a picture may take to be there, in milliseconds. */
const SOON_MS = 20_000;
/** The longest that a picture may stand still, in milliseconds: what `<moq-watch>` calls stalled. */
const STALL_MS = 500;
/** The delay at which half of ffmpeg's pictures come at the latest, from when they are made to the canvas, in milliseconds. */
const DELAY_MS = 35;
/** Watched for so long, in milliseconds, it is the long form, for a machine that has nothing else to do. */
const LONG_MS = 20_000;
/** How often a picture is watched at most: builds share the machine, and a fault of our own would be there each time. */
const SERIES = 3;

const table = new Table();
let up;
let browser;

before(async () => {
  up = await startUp();
  browser = await launch(["--use-fake-device-for-media-stream", "--use-fake-ui-for-media-stream"]);
});

after(async () => {
  table.print(`Pictures, ${WATCH_MS / 1_000} s each`);
  await browser?.close();
  const ended = await up?.stop();
  assert.equal(ended?.code, 0, "how dev/up ends");
  assert.equal(ended.lines.length, 1, `one line, with the address: ${ended.lines.join("\n")}`);
});

/** Opens the page with these words in its address, and runs the story there. */
function onPage(name, query, story) {
  test(name, { timeout: SOON_MS + SERIES * WATCH_MS + 30_000 }, async () => {
    const context = await browser.newContext();
    const errors = [];
    const open = async (more) => {
      const page = await context.newPage();
      page.on("pageerror", (error) => errors.push(String(error.stack ?? error)));
      const url = new URL(up.url);
      for (const [key, value] of Object.entries({ ...query, ...more })) url.searchParams.set(key, value);
      await page.goto(url.href);
      return page;
    };
    try {
      await story(await open(), open);
    } finally {
      await context.close();
    }
    assert.deepEqual(errors, [], "errors that nobody waited for");
  });
}

/** What the page says under this name. */
const says = (page, id) => page.locator(`#${id}`).textContent();

/** Waits until the page shows a moving picture. */
const isLive = (page) => page.locator("#watch-state", { hasText: "Live" }).waitFor({ timeout: SOON_MS });

/** Watches for the time agreed, until it `isGood`, and tells what was seen. */
async function seen(page, name, isGood) {
  await isLive(page);
  let last;
  for (let series = 0; series < SERIES && !(last && isGood(last)); series++) last = await watched(page, name);
  return last;
}

async function watched(page, name) {
  const take = () => page.evaluate(() => document.getElementById("watch").meter.take());
  await take();
  await page.waitForTimeout(WATCH_MS);
  const { frames, skipped, gap, delay } = await take();
  table.add({
    picture: name,
    transport: await says(page, "transport"),
    frames,
    skipped,
    "longest gap ms": gap.toFixed(0),
    "delay p50 ms": delay.p50 ?? "",
    "p95 ms": delay.p95 ?? "",
    "max ms": delay.max ?? "",
  });
  return { frames, skipped, gap, delay };
}

for (const [transport, shown] of [["any", "WebTransport"], ["websocket", "WebSocket"]]) {
  onPage(`a picture goes from <moq-publish> to <moq-watch> over ${shown} without a stall`, { name: `demo/${transport}.hang`, transport }, async (page) => {
    await page.getByRole("button", { name: "Go on air" }).click();
    const { frames, gap } = await seen(page, "test picture", ({ gap }) => gap <= STALL_MS);

    assert.equal(await says(page, "transport"), shown);
    assert.ok(gap <= STALL_MS, `it stood still for ${gap.toFixed(0)} ms`);
    assert.ok(frames > (WATCH_MS / 1_000) * 15, `${frames} of ${(30 * WATCH_MS) / 1_000} frames`);
  });
}

for (const [form, { wait = 0, isForLong = false }] of Object.entries(FORMS)) {
  if (isForLong && WATCH_MS < LONG_MS) continue;
  onPage(`half of ffmpeg's pictures are on the canvas within ${DELAY_MS + wait} ms: ${form}`, { name: "demo/ffmpeg.hang" }, async (page) => {
    const publisher = publishPicture(new URL(up.url).searchParams.get("relay"), "demo/ffmpeg.hang", form);
    const isGood = ({ delay, skipped }) => delay.p50 <= DELAY_MS + wait && (skipped === 0 || WATCH_MS < LONG_MS);
    let code;
    try {
      const { delay, skipped } = await seen(page, form, isGood);
      assert.ok(isGood({ delay, skipped }), `the middle one took ${delay.p50} ms, and ${skipped} were skipped`);
    } finally {
      code = await publisher.stop();
    }
    assert.equal(code, 0, "how moq import ends");
  });
}

const [upLine, ...lines] = await commandsOf("start.md", "dev/clients/tests/media.test.js");
test("docs/start.md begins with ./dev/up, and has lines for a film, a painted picture and OBS", () => {
  assert.equal(upLine, "./dev/up\n");
  assert.deepEqual(lines.map((line) => line.match(/demo\/(\w+)\.hang/)?.[1]), ["film", "painted", "obs"]);
});

for (const line of lines) {
  const [name] = line.match(/demo\/\w+\.hang/);
  onPage(`docs/start.md: ${name} is watched as the page has it`, { name }, async (page) => {
    const folder = await mkdtemp(join(tmpdir(), "start-"));
    if (line.includes("film.mp4")) await makeFilm(join(folder, "film.mp4"));
    const relay = new URL(new URL(up.url).searchParams.get("relay")).host;
    const [server] = line.match(/rtmp:\S+/) ?? [];
    const here = server?.replace("1935", await freePort());
    const publisher = run(line.replace("localhost:4443", relay).replace(server, here), folder);
    let obs = server && streamTo(here);
    try {
      await isLive(page).catch((error) => assert.fail(`${error}\n${publisher.said()}`));
      if (obs) {
        if (WATCH_MS >= LONG_MS) await watched(page, "OBS's, with sound");
        // Whoever watches goes on watching when OBS begins again.
        obs.stop();
        await page.evaluate(() => document.getElementById("watch").meter.take());
        obs = streamTo(here);
        const isMoving = () => document.getElementById("watch").meter.take().frames > 10;
        await page.waitForFunction(isMoving, undefined, { polling: 1_000, timeout: SOON_MS });
      }
    } finally {
      obs?.stop();
      await publisher.stop();
      await rm(folder, { recursive: true });
    }
  });
}

onPage("a camera is watched in another window, until it leaves the air", { name: "demo/camera.hang" }, async (page, open) => {
  const viewer = await open();
  await page.bringToFront();
  await page.getByLabel("Camera").check();
  await page.getByRole("button", { name: "Go on air" }).click();
  await isLive(viewer);
  await page.locator("#publish-state", { hasText: "On air" }).waitFor();

  await page.getByRole("button", { name: "Leave the air" }).click();
  await viewer.locator("#watch-state", { hasText: "Waiting" }).waitFor({ timeout: SOON_MS });
});

onPage("the page can be used with the keyboard alone, and fits a phone", { name: "demo/keys.hang" }, async (page) => {
  await page.setViewportSize({ width: 390, height: 844 });
  const focused = () => page.evaluate(() => document.activeElement.id || document.activeElement.value);
  const passed = [];
  for (let press = 0; press < 12 && passed.at(-1) !== "viewer"; press++) {
    await page.keyboard.press("Tab");
    passed.push(await focused());
  }
  const expected = ["picture", "publish-name", "publish-button", "any", "watch-name", "buffer"];
  assert.deepEqual(passed.filter((id) => expected.includes(id)), expected);
  assert.equal(passed.at(-1), "viewer");
  assert.ok(await page.evaluate(() => document.documentElement.scrollWidth <= innerWidth), "it is wider than the screen");
});
