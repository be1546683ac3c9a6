/** ffmpeg as a publisher: its pictures go through `moq import`, as `docs/start.md` has it. */

import { spawn } from "node:child_process";
import { once } from "node:events";
import { BINARY as MOQ } from "./moq.js";

const FRAMES_PER_SECOND = 30;
const [WIDTH, HEIGHT] = [640, 360];
const SQUARES = 32;

const H264 = "-c:v libx264 -preset ultrafast -tune zerolatency -b:v 1500k -g 30";

/**
 * What ffmpeg makes of its pictures: encoder and container, and how long a picture waits in that for the next one, in milliseconds.
 * Some are only for the long form.
 */
export const FORMS = {
  "H.264 in FLV": { output: `${H264} -f flv` },
  "VP8 in IVF": {
    output: "-c:v libvpx -deadline realtime -cpu-used 8 -lag-in-frames 0 -b:v 1500k -g 30 -threads 1 -f ivf",
    isForLong: true,
  },
  "H.264 in MP4": {
    output: `${H264} -movflags empty_moov+default_base_moof+frag_every_frame -f mp4`,
    wait: Math.ceil(1_000 / FRAMES_PER_SECOND),
    isForLong: true,
  },
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

const INPUT = ["-hide_banner", "-nostdin", "-v", "error", "-f", "lavfi", "-i", picture()];

/** Makes a film of some seconds of the picture, with sound. */
export async function makeFilm(file) {
  const output = `-f lavfi -i sine=r=48000 -t 20 ${H264} -c:a aac`.split(" ");
  const input = INPUT.map((word) => word.replace(",realtime,", ","));
  const ffmpeg = spawn("ffmpeg", [...input, ...output, file], { stdio: ["ignore", "ignore", "inherit"] });
  const [code] = await once(ffmpeg, "exit");
  if (code !== 0) throw new Error(`ffmpeg makes no film: it ended with ${code}`);
}

/** Streams the picture with sound to a server, as OBS does, until `stop` is called. Asks again while nobody listens. */
export function streamTo(server) {
  const output = `-f lavfi -i sine=r=48000 -fps_mode passthrough ${H264} -c:a aac -f flv ${server}/key`.split(" ");
  let ffmpeg;
  let isOver = false;
  const again = () => {
    if (isOver) return;
    ffmpeg = spawn("ffmpeg", [...INPUT, ...output], { stdio: "ignore" });
    ffmpeg.on("exit", again);
  };
  again();
  return {
    stop() {
      isOver = true;
      ffmpeg.kill("SIGKILL");
    },
  };
}

/** Publishes the picture at `path`, in this form, a group a second, until `stop` is called. */
export function publishPicture(url, path, form) {
  const output = `-fps_mode passthrough ${FORMS[form].output} -flush_packets 1 pipe:1`.split(" ");
  const ffmpeg = spawn("ffmpeg", [...INPUT, ...output], { stdio: ["ignore", "pipe", "inherit"] });
  // One reads what the other writes, and nobody is between them.
  const publisher = spawn(MOQ, ["import", "--quiet", url, path], { stdio: [ffmpeg.stdout, "ignore", "inherit"] });
  ffmpeg.stdout.destroy();
  const ended = Promise.all([once(ffmpeg, "exit"), once(publisher, "exit")]);
  return {
    /** Resolves with how `moq import` ended. */
    async stop() {
      publisher.kill("SIGINT");
      ffmpeg.kill("SIGKILL");
      const [, [code]] = await ended;
      return code;
    },
  };
}
