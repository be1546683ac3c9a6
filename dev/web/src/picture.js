/** A picture that moves by itself and says which one it is: something to publish where there is no camera. */

import { write } from "./code.js";

const WIDTH = 1024;
const HEIGHT = 576;
export const FRAMES_PER_SECOND = 30;

/** Ticks in a thread of its own: a page in the background is given one tick a second. */
const TICKER = `setInterval(() => postMessage(0), ${1_000 / FRAMES_PER_SECOND})`;

/** `stop` ends it. `track` is a video track. */
export function startPicture() {
  const canvas = document.createElement("canvas");
  canvas.width = WIDTH;
  canvas.height = HEIGHT;
  const context = canvas.getContext("2d", { alpha: false });
  const stream = canvas.captureStream(0);
  const [track] = stream.getVideoTracks();
  const url = URL.createObjectURL(new Blob([TICKER], { type: "text/javascript" }));
  const ticker = new Worker(url);
  let number = 0;
  ticker.onmessage = () => {
    paint(context, number / FRAMES_PER_SECOND);
    write(context, WIDTH, number++);
    track.requestFrame();
  };
  return {
    track,
    stop() {
      ticker.terminate();
      URL.revokeObjectURL(url);
      track.stop();
    },
  };
}

/** The picture `seconds` after the first one: a sun that goes round, its wake, and the time of day. */
function paint(context, seconds) {
  const sky = context.createLinearGradient(0, 0, WIDTH, HEIGHT);
  sky.addColorStop(0, "#0b1f3a");
  sky.addColorStop(1, "#115e59");
  context.fillStyle = sky;
  context.fillRect(0, 0, WIDTH, HEIGHT);

  for (let wake = 24; wake >= 0; wake--) {
    const turn = (seconds - wake / 40) * ((2 * Math.PI) / 6);
    context.globalAlpha = wake === 0 ? 1 : 0.22 * (1 - wake / 25);
    context.fillStyle = wake === 0 ? "#fbbf24" : "#f59e0b";
    context.beginPath();
    context.arc(WIDTH / 2 + 400 * Math.cos(turn), HEIGHT / 2 + 14 + 190 * Math.sin(2 * turn), 34 - wake, 0, 2 * Math.PI);
    context.fill();
  }
  context.globalAlpha = 1;

  const now = new Date();
  const two = (value) => String(value).padStart(2, "0");
  const time = [now.getHours(), now.getMinutes(), now.getSeconds()].map(two).join(":");
  context.fillStyle = "#f8fafc";
  context.textBaseline = "middle";
  context.font = "600 104px ui-monospace, 'DejaVu Sans Mono', monospace";
  context.textAlign = "center";
  context.fillText(`${time}.${Math.floor(now.getMilliseconds() / 100)}`, WIDTH / 2, HEIGHT / 2 + 14);
}
