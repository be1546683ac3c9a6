/** Node as a place for the roles: every role has a thread of its own, and speaks WebSocket. */

import "./node-globals.js";
import { Worker } from "node:worker_threads";
import { METHODS } from "../roles/host.js";

/** The roles as they are written. What `driver/bundle.js` makes of them, with other packages, may stand in for them. */
const ROLES = new URL("../roles/host.js", import.meta.url).href;

/** The roles, on behalf of one test; `close` ends what the test left running. A role's option `host` is the module that has it. */
export function nodePlace() {
  const threads = [];
  const start = (host = ROLES) => {
    const thread = new Thread(host);
    threads.push(thread);
    return thread;
  };
  const role = async (kind, options) => {
    const thread = start(options.host);
    await thread.call("open", kind, options);
    return {
      ...Object.fromEntries(METHODS[kind].map((method) => [method, (...args) => thread.call("call", method, ...args)])),
      /** Ends the thread, and its session without a word. */
      leave: () => thread.end(),
    };
  };
  return {
    publisher: (options) => role("publisher", options),
    viewer: (options) => role("viewer", options),
    guest: (options) => role("guest", options),
    peer: (options) => role("peer", options),
    joins: (options, count) => start().call("joins", options, count),
    close: async () => void (await Promise.all(threads.map((thread) => thread.end()))),
  };
}

class Thread {
  #worker;
  #calls = new Map();
  #lastId = 0;

  constructor(host) {
    this.#worker = new Worker(new URL("worker.js", import.meta.url), { workerData: host });
    this.#worker.on("message", ({ id, value, error }) => {
      const { resolve, reject } = this.#calls.get(id);
      this.#calls.delete(id);
      if (error) reject(new Error(error));
      else resolve(value);
    });
    this.#worker.on("error", (error) => this.#giveUp(error));
    this.#worker.on("exit", () => this.#giveUp(new Error("the thread has ended")));
  }

  call(name, ...args) {
    const { promise, resolve, reject } = Promise.withResolvers();
    const id = ++this.#lastId;
    this.#calls.set(id, { resolve, reject });
    this.#worker.postMessage({ id, name, args });
    return promise;
  }

  end() {
    return this.#worker.terminate();
  }

  #giveUp(error) {
    for (const { reject } of this.#calls.values()) reject(error);
    this.#calls.clear();
  }
}
