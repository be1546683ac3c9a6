/**
 * The releases of the npm packages that applications of the last year are made with, and the roles with each of them inside.
 *
 * Bundled, as applications have them; the oldest are made of modules that Node does not find by itself. `package.json` says where
 * each one lies.
 */

import { writeFile } from "node:fs/promises";
import { join } from "node:path";
import { fileURLToPath, pathToFileURL } from "node:url";
import { bundle } from "../../clients/driver/bundle.js";

const [SETUP_01, SETUP_02, LITE_04, LITE_05] = ["moq-lite-01", "moq-lite-02", "moq-lite-04", "moq-lite-05"];

/**
 * Oldest first. `face`: whose shape it has (`dev/clients/roles`); then what it speaks with a relay that knows all versions. What
 * offers no version over WebSocket beforehand falls back on SETUP there.
 */
export const RELEASES = [
  { name: "@kixelated/moq 0.9.4", folder: "kixelated-moq-0.9.4", face: "lite", websocket: SETUP_01, webtransport: SETUP_01 },
  { name: "@moq/lite 0.2.2", folder: "moq-lite-0.2.2", face: "lite", websocket: SETUP_02, webtransport: LITE_04 },
  { name: "@moq/net 0.1.1", folder: "moq-net-0.1.1", face: "lite", websocket: SETUP_02, webtransport: LITE_04 },
  { name: "@moq/net 0.1.7", folder: "moq-net-0.1.7", face: "lite", websocket: SETUP_02, webtransport: LITE_04 },
  { name: "@moq/net 0.1.9", folder: "moq-net-0.1.9", face: "lite", websocket: SETUP_02, webtransport: LITE_04 },
  { name: "@moq/net 0.2.8", folder: "moq-net-0.2.8", face: "net", websocket: LITE_05, webtransport: LITE_05 },
  { name: "@moq/net 0.3.3", folder: "moq-net-0.3.3", face: "net", websocket: LITE_05, webtransport: LITE_05 },
  { name: "@moq/net 0.3.4", folder: "moq-net-0.3.4", face: "net", websocket: LITE_05, webtransport: LITE_05 },
];

/** The script that has the roles with this release, in bytes. */
function script({ folder, face }, entry) {
  return bundle(entry, { [`@moq/${face}`]: fileURLToPath(new URL(`node_modules/${folder}`, import.meta.url)) });
}

/** The scripts of pages, by the folder of their release. */
export async function pages() {
  return Object.fromEntries(await Promise.all(RELEASES.map(async (release) => [release.folder, await script(release, "page/roles")])));
}

/** Modules for Node, by the folder of their release, written to `folder`. */
export async function modules(folder) {
  const write = async (release) => {
    const file = join(folder, `${release.folder}.mjs`);
    await writeFile(file, await script(release, "roles/host"));
    return [release.folder, pathToFileURL(file).href];
  };
  return Object.fromEntries(await Promise.all(RELEASES.map(write)));
}
