/**
 * What the packages expect of a browser and Node 20 lacks, and where their chatter goes. Imported for its effect, and first: modules
 * are evaluated in the order in which they are imported.
 */

import { WebSocket } from "ws";

globalThis.WebSocket ??= WebSocket;

Promise.withResolvers ??= function withResolvers() {
  const deferred = {};
  deferred.promise = new Promise((resolve, reject) => Object.assign(deferred, { resolve, reject }));
  return deferred;
};

Set.prototype.difference ??= function difference(other) {
  return new Set([...this].filter((item) => !other.has(item)));
};

const iterators = Object.getPrototypeOf(Object.getPrototypeOf([].values()));
iterators.toArray ??= function toArray() {
  return [...this];
};

// The packages tell the console about every stream. `CLIENT_LOG=1` lets them.
if (!process.env.CLIENT_LOG) {
  for (const level of ["debug", "log", "info", "warn", "error"]) console[level] = () => {};
}
