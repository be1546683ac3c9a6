/** What a worker thread holds: a role, called with `{ id, name, args }` and answering `{ id, value }` or `{ id, error }`. */

import "./node-globals.js";
import { parentPort } from "node:worker_threads";
import { host } from "../roles/host.js";

// A browser only reports these. @moq/lite leaves some behind when a session is closed while data arrives.
process.on("unhandledRejection", () => {});

parentPort.on("message", async ({ id, name, args }) => {
  try {
    parentPort.postMessage({ id, value: await host[name](...args) });
  } catch (error) {
    parentPort.postMessage({ id, error: String(error.stack ?? error) });
  }
});
