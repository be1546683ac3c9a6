/** One role, driven from outside by name: what a test page and a worker thread hold. */

import { Guest } from "./guest.js";
import { Peer } from "./peer.js";
import { Publisher } from "./publisher.js";
import { joins, Viewer } from "./viewer.js";

const KINDS = { publisher: Publisher, viewer: Viewer, peer: Peer, guest: Guest };

/** The methods of each kind of role, for those who make a stand-in for one that lives elsewhere. */
export const METHODS = Object.fromEntries(
  Object.entries(KINDS).map(([kind, { prototype }]) => [
    kind,
    Object.getOwnPropertyNames(prototype).filter((name) => typeof Object.getOwnPropertyDescriptor(prototype, name).value === "function"),
  ]),
);

let role;

export const host = {
  async open(kind, options) {
    role = await KINDS[kind].open(options);
  },
  call: (method, ...args) => role[method](...args),
  joins,
};
