/** Tokens as clients live with them: the same table for Chromium over WebTransport and Node over WebSocket. */

import { after, before, describe, test } from "node:test";
import assert from "node:assert/strict";
import { mkdtemp, rename, rm, writeFile } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { setTimeout as pause } from "node:timers/promises";
import { startBrowser } from "../driver/browser.js";
import { nodePlace } from "../driver/node.js";
import { newRelay } from "../driver/relay.js";
import { makeKey, sign, trust } from "../driver/tokens.js";

/** What a right may outlive its end by, in milliseconds. The relay promises a second; a busy machine gets another. */
const AT_ONCE_MS = 1_000 + 1_000;
/** Long enough for what must not happen to have happened, in milliseconds. */
const A_WHILE_MS = 300;
/** How long the token that ends during its session lasts, in milliseconds: enough to come in on a busy machine. */
const LASTS_MS = 8_000;

const CLIENTS = [
  { client: "Chromium", transport: "webtransport", place: () => browser.place() },
  { client: "Node", transport: "websocket", place: async () => nodePlace() },
];

const EVERYTHING = ["--publish", "", "--subscribe", ""];

/** What tokens let their holders do at /demo, where `room` is on air. Who may nothing there is refused. */
const RIGHTS = [
  { right: "everything", token: () => sign(key, "--root", "demo", ...EVERYTHING), reads: true, writes: true },
  { right: "reading only", token: () => sign(key, "--root", "demo", "--subscribe", ""), reads: true, writes: false },
  { right: "writing only", token: () => sign(key, "--root", "demo", "--publish", ""), reads: false, writes: true },
  { right: "reading elsewhere", token: () => sign(key, "--root", "demo", "--subscribe", "other"), reads: false, writes: false },
  { right: "another root", token: () => sign(key, "--root", "demos", ...EVERYTHING), isRefused: true },
  { right: "a time that is over", token: () => expired, isRefused: true },
  { right: "everything, signed by a stranger", token: () => sign(stranger, "--root", "demo", ...EVERYTHING), isRefused: true },
  { right: "nothing: it is no token", token: () => "abc", isRefused: true },
  { right: "nothing: there is none", token: () => "", isRefused: true },
];

/** How rights end during a session: with which token it starts, and what ends it, if time alone does not. */
const ENDINGS = [
  {
    ending: "expires",
    token: () => sign(key, "--root", "demo", ...EVERYTHING, "--expires", String(Math.ceil((Date.now() + LASTS_MS) / 1_000))),
    end: ({ token }) => pause(expiry(token) - Date.now()),
  },
  {
    ending: "is revoked",
    token: ({ client }) => sign(key, "--root", "demo", ...EVERYTHING, "--jti", `lost-${client}`),
    end: ({ client }) => revoke(`lost-${client}`),
  },
  {
    ending: "loses its key",
    token: ({ client }) => sign(leaving[client], "--root", "demo", ...EVERYTHING),
    end: ({ client }) => {
      delete leaving[client];
      trust(trusted, [key, ...Object.values(leaving)]);
    },
  },
];

let folder, trusted, revoked, key, stranger, leaving, expired;
let relay, browser, host, admin;
const lost = [];

before(async () => {
  folder = await mkdtemp(join(tmpdir(), "moq-rights-"));
  [trusted, revoked] = ["keys.json", "revoked"].map((name) => join(folder, name));
  [key, stranger] = ["key", "stranger"].map((id) => makeKey(folder, id));
  leaving = Object.fromEntries(CLIENTS.map(({ client }) => [client, makeKey(folder, `leaving-${client}`)]));
  trust(trusted, [key, ...Object.values(leaving)]);
  await writeFile(revoked, "");
  expired = sign(key, "--root", "demo", ...EVERYTHING, "--expires", "1s");
  const files = { keys: [trusted], revoked };
  const auth = Object.entries(files).map(([name, value]) => `${name} = ${JSON.stringify(value)}`);
  [relay, browser] = await Promise.all([newRelay(undefined, auth.join("\n")), startBrowser()]);
  host = nodePlace();
  admin = await host.guest({ package: "net", url: at(sign(key, "--root", "demo", ...EVERYTHING)) });
  await admin.publish("room");
  await pause(Math.max(expiry(expired) + 10 - Date.now(), 0));
});

after(async () => {
  await browser?.close();
  await host?.close();
  await relay?.stop();
  await rm(folder, { recursive: true });
});

describe("rights", { concurrency: true }, () => {
  for (const { client, transport, place } of CLIENTS) {
    describe(client, { concurrency: 3 }, () => {
      const inPlace = (name, story) =>
        test(`${client}: ${name}`, { timeout: 60_000 }, async () => {
          const there = await place();
          try {
            await story((token) => there.guest({ package: "net", url: at(token) }));
          } finally {
            await there.close();
            relay.assertAlive();
          }
        });

      // First what takes longest.
      for (const { ending, token, end } of ENDINGS) {
        inPlace(`a session whose token ${ending} is closed at once, and opens no other`, async (enter) => {
          const shown = token({ client });
          const guest = await enter(shown);
          const admission = await guest.admission();
          assert.ok(admission.isIn, admission.refusal);
          assert.ok(await guest.hears("room"));
          assert.equal(await guest.watch("room"), "frame");

          await end({ client, token: shown });
          const over = Date.now();
          const lasted = (await guest.ended()) - over;

          assert.ok(lasted < AT_ONCE_MS, `it went on for ${lasted} ms`);
          if (ending === "expires") assert.ok(lasted > -100, `it ended ${-lasted} ms early`);
          assert.equal((await (await enter(shown)).admission()).isIn, false, "the token opens another session");
        });
      }

      for (const [number, { right, token, isRefused, reads, writes }] of RIGHTS.entries()) {
        inPlace(`a token for ${right}`, async (enter) => {
          const guest = await enter(token());
          const admission = await guest.admission();
          assert.equal(admission.isIn, !isRefused, admission.refusal);
          if (isRefused) return;
          assert.equal(admission.transport, transport);

          const path = `${client}-${number}`;
          await guest.publish(path);
          assert.equal(await guest.hears("room", reads ? undefined : A_WHILE_MS), reads, "hears what is on air");
          assert.equal(await guest.watch("room"), reads ? "frame" : "refused");
          assert.equal(await admin.hears(path, writes ? undefined : A_WHILE_MS), writes, "is heard");
          if (writes) assert.equal(await admin.watch(path), "frame");
        });
      }
    });
  }
});

/** The address of the room, with a token. */
function at(token) {
  return new URL(token ? `/demo?jwt=${token}` : "/demo", relay.url).href;
}

/** When a token ends, in milliseconds since 1970. */
function expiry(token) {
  return JSON.parse(Buffer.from(token.split(".")[1], "base64url")).exp * 1_000;
}

async function revoke(id) {
  lost.push(`jti ${id}`);
  await writeFile(`${revoked}.new`, `${lost.join("\n")}\n`);
  await rename(`${revoked}.new`, revoked);
}
