/**
 * What a worker thread holds: a role, called with `{ id, name, args }` and answering `{ id, value }` or `{ id, error }`. `workerData`
 * is the module that has the roles.
 */

import "./node-globals.js";
import { parentPort, workerData } from "node:worker_threads";

const { host } = await import(workerData);

// A browser only reports these. @moq/lite leaves some behind when a session is closed while data arrives.
process.on("unhandledRejection", () => {});

parentPort.on("message", async ({ id, name, args }) => {
  try {
    parentPort.postMessage({ id, value: await host[name](...args) });
  } catch (error) {
    parentPort.postMessage({ id, error: String(error.stack ?? error) });
  }
});
