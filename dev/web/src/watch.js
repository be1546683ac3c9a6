/** The half of the page that watches: `<moq-watch>`, and figures read from the picture it paints. */

import "@moq/watch/element";
import { Reader } from "./code.js";
import { Meter } from "./meter.js";
import { NOTHING, show, showState } from "./show.js";

/** How often the figures change, in milliseconds. */
const REFRESH_MS = 500;

/** Makes the form work. `link` gives the address of another such page, with these changes. */
export function watch(relay, name, asked, link) {
  const element = document.getElementById("watch");
  const form = document.getElementById("watch-form");
  const nameField = document.getElementById("watch-name");
  const buffer = document.getElementById("buffer");
  const canvas = element.querySelector("canvas");
  const reader = new Reader();
  const meter = new Meter();
  let before = { at: performance.now(), bytes: 0 };

  // Changes when a frame has just been painted.
  element.renderer.out.timestamp.subscribe((timestamp) => {
    if (timestamp !== undefined) meter.add(reader.read(canvas));
  });

  function refresh() {
    const connection = element.connection.established.peek();
    const status = element.broadcast.out.status.peek();
    const { frames, perSecond, delay, skipped, gap } = meter.recent();
    const isLive = connection !== undefined && status === "live" && frames > 0;
    const state = isLive ? "Live" : !connection ? "Connecting" : status === "offline" ? "Waiting" : "Loading";
    const isTrying = element.connection.status.peek() === "connecting";
    const hint = connection ? "Nobody is on air under this name." : isTrying ? "Connecting" : "No relay answers at this address.";

    const now = { at: performance.now(), bytes: element.video.out.stats.peek()?.bytesReceived ?? 0 };
    const kbits = Math.max(0, (8 * (now.bytes - before.bytes)) / (now.at - before.at));
    before = now;
    showState("watch-state", state, isLive);
    show("watch-hint", hint);
    document.getElementById("watch-hint").hidden = isLive || state === "Loading";
    show("transport", connection ? TRANSPORTS[connection.transport] : NOTHING);
    show("version", connection?.version ?? "");
    show("delay", isLive && delay.p50 !== undefined ? `${delay.p50} ms` : NOTHING);
    show("delay-most", isLive && delay.p50 !== undefined ? `at most ${delay.max} ms` : "");
    show("frames", isLive ? `${perSecond.toFixed(1)} fps` : NOTHING);
    show("rate", isLive ? `${Math.round(kbits).toLocaleString("en")} kbit/s` : "");
    show("skipped", isLive && delay.p50 !== undefined ? String(skipped) : NOTHING);
    document.getElementById("viewer").href = link({ source: undefined });
    show("gap", isLive ? `gap ${Math.round(gap)} ms` : "");
  }

  element.url = relay;
  element.meter = meter;
  nameField.value = element.name = name;
  form.elements.transport.value = asked.get("transport") ?? "any";
  const wanted = asked.get("buffer") ?? "0";
  if (![...buffer.options].some(({ value }) => value === wanted)) buffer.add(new Option(`${wanted} ms`, wanted));
  buffer.value = wanted;
  element.setAttribute("latency", wanted);
  buffer.addEventListener("change", () => element.setAttribute("latency", buffer.value));
  for (const choice of form.elements.transport) {
    // The packages have taken their choice, so the page is loaded anew.
    choice.addEventListener("change", () => location.assign(link({ transport: choice.value })));
  }
  form.addEventListener("submit", (event) => {
    event.preventDefault();
    meter.reset();
    element.name = nameField.value;
  });
  setInterval(refresh, REFRESH_MS);
  refresh();
}

const TRANSPORTS = { webtransport: "WebTransport", websocket: "WebSocket" };
