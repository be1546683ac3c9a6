/** Keys and tokens, made by our own program. */

import { execFileSync } from "node:child_process";
import { renameSync } from "node:fs";
import { dirname, join } from "node:path";
import { BINARY } from "./relay.js";

/** Built beside the relay. */
const PROGRAM = join(dirname(BINARY), "moq-token");

const run = (...args) => execFileSync(PROGRAM, args, { encoding: "utf8", stdio: ["ignore", "pipe", "pipe"] }).trim();

/** A new pair of keys in `folder`; gives the file of the private one. */
export function makeKey(folder, id) {
  const file = join(folder, `${id}.jwk`);
  run("generate", "--algorithm", "ES256", "--id", id, "--out", file);
  return file;
}

/** Puts the public halves of these keys into the file that a relay trusts, in one go. */
export function trust(file, keys) {
  run("set", ...keys, "--out", `${file}.new`);
  renameSync(`${file}.new`, file);
}

/** A token by this key. `claims` are what `moq-token sign` takes. */
export const sign = (key, ...claims) => run("sign", "--key", key, ...claims);
