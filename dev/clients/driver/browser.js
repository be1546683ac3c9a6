/** Chromium as a place for the roles: every role has a page of its own. */

import "./node-globals.js";
import { once } from "node:events";
import { createServer } from "node:http";
import { chromium } from "playwright-core";
import { SOON_MS, within } from "../roles/deadline.js";
import { METHODS } from "../roles/host.js";
import { bundle } from "./bundle.js";

/** Where Debian puts it; `CHROMIUM` names another. */
const CHROMIUM = process.env.CHROMIUM ?? "/usr/bin/chromium";

/** No sandbox: the tests run as root in containers, and load nothing but their own pages. The rest keeps it off the network. */
const FLAGS = [
  "--headless=new",
  "--no-sandbox",
  "--disable-gpu",
  "--no-first-run",
  "--disable-background-networking",
  "--disable-component-update",
  "--disable-sync",
];

const htmlOf = (host) => `<!doctype html><meta charset="utf-8"><title>moq</title><script type="module" src="/${host}.js"></script>`;

/** Starts Chromium, with these flags besides. */
export function launch(flags = []) {
  return chromium.launch({ executablePath: CHROMIUM, headless: true, args: [...FLAGS, ...flags] });
}

/** Starts the one browser of a run and the server of its pages. `hosts`: further scripts for pages, by name. */
export async function startBrowser(hosts = {}) {
  const scripts = { roles: await bundle("page/roles"), ...hosts };
  const holds = new Map();
  const server = createServer((request, response) => {
    const hold = holds.get(request.url);
    if (hold) return hold(response);
    const [name, isScript] = [request.url.replace(/^\/|\.js$/g, ""), request.url.endsWith(".js")];
    response.setHeader("content-type", isScript ? "text/javascript" : "text/html");
    response.end(isScript ? scripts[name] : htmlOf(name));
  }).listen(0, "localhost");
  await once(server, "listening");
  const browser = await launch();
  const url = `http://localhost:${server.address().port}/`;

  return {
    version: browser.version(),
    /**
     * The roles, on behalf of one test; `close` closes its pages. `hasWebTransport: false` takes it away from them. A role's option
     * `host` names the script that has it.
     */
    place: (options) => browserPlace(browser, url, holds, options),
    async close() {
      await browser.close();
      server.closeAllConnections();
      server.close();
    },
  };
}

async function browserPlace(browser, url, holds, { hasWebTransport = true } = {}) {
  const context = await browser.newContext();
  if (!hasWebTransport) await context.addInitScript(() => delete globalThis.WebTransport);
  const errors = [];
  const openPage = async (host = "roles") => {
    const page = await context.newPage();
    page.on("pageerror", (error) => errors.push(String(error.stack ?? error)));
    await page.goto(url + host);
    await page.waitForFunction(() => globalThis.host);
    return page;
  };
  const call = (page, name, ...args) => page.evaluate(([name, args]) => globalThis.host[name](...args), [name, args]);
  const role = async (kind, options) => {
    const page = await openPage(options.host);
    await call(page, "open", kind, options);
    return {
      ...Object.fromEntries(METHODS[kind].map((method) => [method, (...args) => call(page, "call", method, ...args)])),
      /** What this page has sent so far: see `page/meter.js`. */
      sent: () => call(page, "sent"),
      stall: () => stall(page, holds),
      /** Closes the page, as a person does. */
      leave: () => page.close(),
    };
  };
  return {
    publisher: (options) => role("publisher", options),
    viewer: (options) => role("viewer", options),
    guest: (options) => role("guest", options),
    peer: (options) => role("peer", options),
    joins: async (options, count) => call(await openPage(), "joins", options, count),
    /** What went wrong in the pages without anybody having waited for it. */
    errors,
    close: () => context.close(),
  };
}

/** Holds up all of a page's script, and so its reading, until `release` is called: it waits for an answer from its server. */
async function stall(page, holds) {
  const path = `/hold/${holds.size}`;
  const { promise: begun, resolve: begin } = Promise.withResolvers();
  holds.set(path, begin);
  const ended = page.evaluate((path) => {
    const request = new XMLHttpRequest();
    request.open("GET", path, false);
    request.send();
  }, path);
  const response = await within(SOON_MS, begun, () => "the page to be held up");
  return {
    async release() {
      response.end();
      await ended;
    },
  };
}
