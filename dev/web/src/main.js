/**
 * The page. What is in the address:
 *
 * | `relay` | the relay's address, `http://localhost:4443/` when missing |
 * | `name` | the broadcast |
 * | `transport=websocket` | no WebTransport |
 * | `buffer` | what the viewer keeps in hand, in milliseconds or `real-time` |
 * | `source` | goes on air at once: `picture`, `camera` |
 */

import { publish } from "./publish.js";
import { watch } from "./watch.js";

const asked = new URLSearchParams(location.search);
const relay = new URL(asked.get("relay") ?? "http://localhost:4443/");
const name = asked.get("name") ?? "demo/picture.hang";

// The packages look for it when they connect.
if (asked.get("transport") === "websocket") delete globalThis.WebTransport;

document.getElementById("relay").textContent = relay;
const { source } = publish(relay, name, asked.get("source"));
watch(relay, name, asked, (changes) => {
  const query = new URLSearchParams(location.search);
  query.set("name", document.getElementById("watch-name").value);
  query.set("buffer", document.getElementById("buffer").value);
  for (const [key, value] of Object.entries({ source: source(), ...changes })) {
    if (value === undefined) query.delete(key);
    else query.set(key, value);
  }
  return `?${query}`;
});
