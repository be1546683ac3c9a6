/** The page, built and served on this machine. */

import { fileURLToPath } from "node:url";
import { build, preview } from "vite";

const ROOT = fileURLToPath(new URL(".", import.meta.url));

/** Where the page is, unless somebody else is there already: then on the next free port. */
const PORT = 8080;

/** Builds the page and serves it; `url` is its address, `close` ends it. */
export async function servePage() {
  await build({ root: ROOT, logLevel: "warn" });
  const server = await preview({ root: ROOT, logLevel: "warn", preview: { host: "localhost", port: PORT } });
  return {
    url: `http://localhost:${server.httpServer.address().port}/`,
    async close() {
      server.httpServer.closeAllConnections();
      await server.close();
    },
  };
}
