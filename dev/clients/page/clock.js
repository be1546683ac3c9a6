/** Shows the clock that `dev/up` publishes, and how it came here. */

import * as Moq from "@moq/net";
import { PATH, RELAY_URL, TRACK } from "../clock.js";

/** How much of the past the figures are about, in milliseconds. */
const WINDOW_MS = 2_000;

const TIME = { hour: "2-digit", minute: "2-digit", second: "2-digit", fractionalSecondDigits: 1, hour12: false };

const show = (id, text) => {
  document.getElementById(id).textContent = text;
};

/** What has come within the window: when, how large, and how long it took. */
const recent = [];

function showFrame(payload, group) {
  const now = Date.now();
  const { sent } = JSON.parse(new TextDecoder().decode(payload));
  recent.push({ at: now, bytes: payload.length, delay: now - sent });
  while (recent[0].at < now - WINDOW_MS) recent.shift();

  const seconds = Math.max(now - recent[0].at, 1) / 1_000;
  const bits = 8 * recent.slice(1).reduce((sum, { bytes }) => sum + bytes, 0);
  const delays = recent.map(({ delay }) => delay);
  show("time", new Date(sent).toLocaleTimeString([], TIME));
  show("group", group);
  show("rate", `${((recent.length - 1) / seconds).toFixed(1)} frames/s, ${(bits / seconds / 1_000).toFixed(1)} kbit/s`);
  show("delay", `${delays.at(-1)} ms, at most ${Math.max(...delays)} ms`);
}

async function watch() {
  const isWebSocket = new URLSearchParams(location.search).get("transport") === "websocket";
  if (isWebSocket) delete globalThis.WebTransport;

  // With an http: URL the package fetches /certificate.sha256 and pins it.
  const connection = await Moq.Connection.connect(new URL(RELAY_URL));
  show("transport", connection.transport);
  show("version", connection.version);
  connection.closed.then(
    () => show("state", "The session has ended."),
    (error) => show("state", `The session has ended: ${error.message}`),
  );

  const asked = performance.now();
  const subscriber = connection.consume(Moq.Path.from(PATH)).track(TRACK).subscribe();
  for (let frame = await subscriber.readFrameSequence(); frame; frame = await subscriber.readFrameSequence()) {
    if (recent.length === 0) show("first", `${(performance.now() - asked).toFixed(0)} ms after subscribing`);
    showFrame(frame.payload, frame.group);
  }
}

watch().catch((error) => show("state", error.message));
