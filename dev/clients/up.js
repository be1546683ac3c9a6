/**
 * What `dev/up` runs once everything is built: a relay, a clock that is published through it, and a page that shows the clock.
 * Ends all of it when it is told to, or when the relay ends.
 */

import "./driver/node-globals.js";
import { once } from "node:events";
import { createWriteStream } from "node:fs";
import { mkdir, readFile } from "node:fs/promises";
import { createServer } from "node:http";
import { fileURLToPath } from "node:url";
import { Clock, RELAY_URL } from "./clock.js";
import { bundle } from "./driver/bundle.js";
import { startRelay } from "./driver/relay.js";

const CONFIG = fileURLToPath(new URL("../relay.toml", import.meta.url));
const LOG = fileURLToPath(new URL("../../target/dev/relay.log", import.meta.url));
/** Where the page is, unless somebody else is there already. */
const PAGE_PORT = 8080;

const say = (text) => process.stdout.write(`${text}\n`);

async function serve(routes) {
  const server = createServer((request, response) => {
    const route = routes[new URL(request.url, "http://localhost").pathname];
    response.writeHead(route ? 200 : 404, { "content-type": route?.type ?? "text/plain" });
    response.end(route?.body ?? "There is only /\n");
  });
  for (const port of [PAGE_PORT, 0]) {
    server.listen(port, "localhost");
    const taken = await Promise.race([once(server, "listening").then(() => undefined), once(server, "error").then(([error]) => error)]);
    if (!taken) return server;
    if (taken.code !== "EADDRINUSE") throw taken;
  }
}

const told = new Promise((resolve) => {
  for (const signal of ["SIGINT", "SIGTERM", "SIGHUP"]) process.once(signal, resolve);
});

await mkdir(new URL("../../target/dev/", import.meta.url), { recursive: true });
const log = createWriteStream(LOG);
const relay = await startRelay(CONFIG, RELAY_URL, (text) => log.write(text));
const clock = await Clock.open(RELAY_URL);
const page = await serve({
  "/": { type: "text/html; charset=utf-8", body: await readFile(new URL("page/clock.html", import.meta.url)) },
  "/clock.js": { type: "text/javascript", body: await bundle("clock") },
});
const pageUrl = `http://localhost:${page.address().port}/`;

say(`
A relay is on localhost:4443 and passes on a clock: broadcast "demo/clock", track "clock", a group a second, a frame every 100 ms.

  Look     ${pageUrl}                       over WebTransport, with the certificate pinned
           ${pageUrl}?transport=websocket   the same over WebSocket

  Type     curl ${RELAY_URL}                     what this is
           curl ${RELAY_URL}certificate.sha256   the digest that pages pin
           curl ${RELAY_URL}announced            who is on the air

  Log      tail -f ${LOG}

Ctrl-C ends everything.
`);

const why = await Promise.race([told.then(() => "told"), relay.ended.then(() => "relay"), clock.ended.then(() => "clock")]);
page.closeAllConnections();
page.close();
clock.close();
if (why === "clock") say("The clock has lost its session.");
try {
  await relay.stop();
} catch (error) {
  // Ctrl-C reaches the relay too, so it may be gone before it is asked.
  if (why !== "told") say(error.message);
}
process.exit(why === "told" ? 0 : 1);
