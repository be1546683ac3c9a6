/** Chromium: every version of `@moq/net` over WebTransport. */

import { after, before } from "node:test";
import { startBrowser } from "../driver/browser.js";
import { tellVersions } from "./versions.js";

let browser;

before(async () => {
  browser = await startBrowser();
});

after(() => browser?.close());

tellVersions("webtransport", () => browser.place());
