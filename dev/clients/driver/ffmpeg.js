/**
 * ffmpeg as a publisher: its pictures go to `moq publish`, which takes any frames, in the container that viewers know as "legacy".
 *
 * A frame of that container is its time in microseconds, as a QUIC varint, and the codec's own bytes. ffmpeg writes IVF, where a frame
 * has twelve bytes before it: its size (32 bits) and its number (64 bits), least significant byte first.
 */

import { spawn } from "node:child_process";
import { once } from "node:events";
import { moq } from "./moq.js";

export const TRACK = "video";
const FRAMES_PER_SECOND = 30;
const [WIDTH, HEIGHT] = [640, 360];
const SQUARES = 32;

/** The catalog a viewer is given. No rate is said, from which `<moq-watch>` would make a buffer of a frame. */
export const CATALOG = {
  video: { renditions: { [TRACK]: { codec: "vp8", codedWidth: WIDTH, codedHeight: HEIGHT, container: { kind: "legacy" } } } },
};

/** ffmpeg's own test picture with the first line of `dev/web/src/code.js`: the frame's number, and the time at which it was made. */
function picture() {
  const bits = (value, first) => `mod(floor(mod(floor(${value}),16384)/pow(2,${first + 13}-X)),2)`;
  const squares = `255*if(lt(X,1),1,if(lt(X,2),0,if(lt(X,16),${bits("N", 2)},if(lt(X,30),${bits("T*1000", 16)},X-30))))`;
  return [
    `testsrc2=s=${WIDTH}x${HEIGHT}:r=${FRAMES_PER_SECOND},realtime,settb=1/1000000,setpts=RTCTIME,split[picture][second]`,
    `[second]scale=${SQUARES}:1,format=gray,geq=lum='${squares}',scale=${WIDTH}:${WIDTH / SQUARES}:flags=neighbor[squares]`,
    `[picture][squares]overlay,format=yuv420p,setpts=N/(${FRAMES_PER_SECOND}*TB)`,
  ].join(";");
}

/** Publishes the picture at `path`, a group a second, until `stop` is called. */
export function publishPicture(url, path) {
  const encode = "-c:v libvpx -deadline realtime -cpu-used 8 -lag-in-frames 0 -b:v 1500k -keyint_min 30 -g 30 -threads 1";
  const output = "-fps_mode passthrough -flush_packets 1 -f ivf pipe:1";
  const ffmpeg = spawn(
    "ffmpeg",
    ["-hide_banner", "-nostdin", "-v", "error", "-f", "lavfi", "-i", picture(), ...encode.split(" "), ...output.split(" ")],
    { stdio: ["ignore", "pipe", "inherit"] },
  );
  const groups = ["--group-frames", String(FRAMES_PER_SECOND), "--group-time", "1h"];
  const publisher = moq(["publish", "--quiet", "--frames", "length", ...groups, url, path, TRACK]);
  let unread = Buffer.alloc(0);
  let isHead = true;
  ffmpeg.stdout.on("data", (bytes) => {
    unread = Buffer.concat([unread, bytes]);
    if (isHead) {
      if (unread.length < 32) return;
      unread = unread.subarray(32);
      isHead = false;
    }
    while (unread.length >= 12 && unread.length >= 12 + unread.readUInt32LE(0)) {
      const size = unread.readUInt32LE(0);
      const time = (unread.readBigUInt64LE(4) * 1_000_000n) / BigInt(FRAMES_PER_SECOND);
      publisher.write(frame(time, unread.subarray(12, 12 + size)));
      unread = unread.subarray(12 + size);
    }
  });
  return {
    async stop() {
      ffmpeg.kill("SIGKILL");
      publisher.kill();
      await once(ffmpeg, "close");
    },
  };
}

/** A frame as `moq publish --frames length` reads it. */
function frame(time, payload) {
  const head = Buffer.alloc(12);
  head.writeUInt32BE(8 + payload.length);
  // A varint of eight bytes.
  head.writeBigUInt64BE(time | (3n << 62n), 4);
  return Buffer.concat([head, payload]);
}
