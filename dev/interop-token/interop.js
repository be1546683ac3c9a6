// Keys and tokens between moq-token and the npm package @moq/token, in both directions.
//
// One folder, one file a thing. `judge FOLDER` reads what moq-token has put there and prints what the package makes of it, a
// line of JSON a token. `make FOLDER` puts keys and tokens of the package there. The other half is
// rs/moq-token/tests/interop.rs, which runs both.

import { readFileSync, readdirSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import * as token from "@moq/token";

const ALGORITHMS = [
	"HS256", "HS384", "HS512", "RS256", "RS384", "RS512", "PS256", "PS384", "PS512", "ES256", "ES384", "EdDSA",
];

const [deed, folder] = process.argv.slice(2);
const read = (name) => readFileSync(join(folder, name), "utf8");
const write = (name, text) => writeFileSync(join(folder, name), text);
const base64url = (text) => Buffer.from(text).toString("base64url");

/** For every NAME.jwk and NAME.jwt: the claims the package reads, or why it refuses; and a token of its own by that key. */
async function judge() {
	for (const file of readdirSync(folder).filter((file) => file.endsWith(".jwk"))) {
		const name = file.slice(0, -".jwk".length);
		const isPublic = name.endsWith("-public");
		const key = isPublic ? token.loadPublic(read(file)) : token.load(read(file));
		// The package verifies with public halves only.
		const verifying = key.kty === "oct" || isPublic ? key : token.toPublicKey(key);
		const claims = await token.verify(verifying, read(`${name}.jwt`).trim(), "demo").catch((error) => String(error));
		console.log(JSON.stringify({ name, claims }));
		if (!isPublic) write(`${name}.theirs`, await token.sign(key, { root: "demo", put: "alice", get: [""] }));
	}
}

/** For every algorithm: a key in both spellings, its public half, and a token. */
async function make() {
	for (const algorithm of ALGORITHMS) {
		const key = await token.generate(algorithm);
		const json = JSON.stringify(key);
		write(`${algorithm}.json`, json);
		write(`${algorithm}.base64url`, base64url(json));
		if (key.kty !== "oct") write(`${algorithm}.public`, JSON.stringify(token.toPublicKey(key), null, 2));
		const exp = Math.floor(Date.now() / 1000) + 3600;
		write(`${algorithm}.jwt`, await token.sign(key, { root: "demo", put: ["alice", "bob"], get: "", exp }));
	}
}

await { judge, make }[deed]();
