/**
 * What `dev/up` runs once everything is built: a relay, and the page. Ends both when it is told to, or when the relay ends.
 *
 * `MOQ_PORT` is another port for the relay than 4443.
 */

import { createWriteStream } from "node:fs";
import { mkdir } from "node:fs/promises";
import { fileURLToPath } from "node:url";
import { startRelay } from "../clients/driver/relay.js";
import { servePage } from "./serve.js";

const CONFIG = fileURLToPath(new URL("../relay.toml", import.meta.url));
const LOGS = new URL("../../target/dev/", import.meta.url);

const told = new Promise((resolve) => {
  for (const signal of ["SIGINT", "SIGTERM", "SIGHUP"]) process.once(signal, resolve);
});

const port = process.env.MOQ_PORT ?? "4443";
process.env.MOQ_SERVER_BIND = process.env.MOQ_WEB_HTTP_LISTEN = `[::]:${port}`;
const address = `http://localhost:${port}/`;

await mkdir(LOGS, { recursive: true });
const log = createWriteStream(new URL("relay.log", LOGS));
const relay = await startRelay(CONFIG, address, (text) => log.write(text));
const page = await servePage();
const pageUrl = port === "4443" ? page.url : `${page.url}?relay=${encodeURIComponent(address)}`;

process.stdout.write(`Open ${pageUrl}\n`);

const why = await Promise.race([told.then(() => "told"), relay.ended.then(() => "relay")]);
await page.close();
try {
  await relay.stop();
} catch (error) {
  // Ctrl-C reaches the relay too, so it may be gone before it is asked.
  if (why !== "told") process.stderr.write(`${error.message}\n`);
}
process.exit(why === "told" ? 0 : 1);
