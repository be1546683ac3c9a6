/** The half of the page that publishes: `<moq-publish>` and what it says about itself. */

import "@moq/publish/element";
import { FRAMES_PER_SECOND, startPicture } from "./picture.js";
import { NOTHING, show, showState } from "./show.js";

/** How often the figures change, in milliseconds. */
const REFRESH_MS = 500;

/** Makes the form work. Goes on air at once if `source` says with what. */
export function publish(relay, name, source) {
  const element = document.getElementById("publish");
  const form = document.getElementById("publish-form");
  const nameField = document.getElementById("publish-name");
  const button = document.getElementById("publish-button");
  let picture;

  function start(source) {
    element.name = nameField.value;
    element.announce = "source";
    if (source === "picture") {
      picture = startPicture();
      // A canvas does not know its own rate.
      element.broadcast.video.hd.config.set({ frameRate: FRAMES_PER_SECOND });
      element.broadcast.video.source.set(picture.track);
    } else {
      element.source = source;
    }
  }

  function stop() {
    element.announce = "never";
    element.source = undefined;
    element.broadcast.video.source.set(undefined);
    element.broadcast.audio.source.set(undefined);
    picture?.stop();
    picture = undefined;
    element.broadcast.video.hd.config.set(undefined);
  }

  function refresh() {
    const isWanted = element.announce !== "never";
    const config = element.broadcast.video.hd.resolved.peek();
    const isConnected = element.connection.status.peek() === "connected";
    const isLive = isWanted && isConnected && config !== undefined;
    const state = isLive ? "On air" : !isWanted ? "Off air" : isConnected ? "Waiting for a picture" : "Connecting";
    const shown = isWanted ? config : undefined;
    showState("publish-state", state, isLive);
    show("codec", shown ? codecName(shown.codec) : NOTHING);
    show("codec-rate", shown ? `at most ${(shown.bitrate / 1e6).toFixed(1)} Mbit/s` : "");
    show("size", shown ? `${shown.width} × ${shown.height}` : NOTHING);
    show("size-rate", shown ? `${Math.round(shown.framerate)} fps` : "");
    show("watched", !isLive ? NOTHING : element.broadcast.video.hd.active.peek() ? "yes" : "no");
    document.getElementById("publish-hint").hidden = isWanted;
    button.textContent = isWanted ? "Leave the air" : "Go on air";
    button.classList.toggle("on", isWanted);
    for (const field of form.elements) if (field !== button) field.disabled = isWanted;
  }

  element.url = relay;
  nameField.value = name;
  form.addEventListener("submit", (event) => {
    event.preventDefault();
    if (element.announce === "never") start(form.elements.source.value);
    else stop();
    refresh();
  });
  if (source) {
    form.elements.source.value = source;
    start(source);
  }
  setInterval(refresh, REFRESH_MS);
  refresh();
  return { /** What is on air, if something is. */ source: () => (element.announce === "never" ? undefined : form.elements.source.value) };
}

/** What people call a codec, of what programs call it. */
function codecName(codec) {
  const names = { avc1: "H.264", hev1: "H.265", vp09: "VP9", av01: "AV1", vp8: "VP8" };
  return names[codec.split(".")[0]] ?? codec;
}
