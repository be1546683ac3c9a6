/**
 * What is sent: which frames a group has, and which bytes each of them holds.
 *
 * Both ends work it out from (group, frame) alone, so a viewer checks every byte without having talked to the publisher.
 * No frame carries a header of its own, because some of them are empty.
 */

/** Every frame is cut out of this many pseudo-random bytes; prime, so that a cut shifted by a power of two is another cut. */
const NOISE_BYTES = 1_048_573;

/** The sizes of one group's frames, in bytes, by the name of the profile. */
const PROFILES = {
  /** What transports and framings stumble over: nothing, one byte, both sides of 16 KiB, more than a stream's first window. */
  mixed: [1_200, 0, 1, 16_383, 16_384, 16_385, 0, 300_007, 1, 64],
  /** A low-rate stream whose groups are short. */
  light: [900, 300, 300, 300],
  /** A video of 4 Mbit/s, when a frame is written every 20 ms. */
  video: [40_000, 7_000, 7_000, 7_000, 7_000, 7_000, 7_000, 7_000, 7_000, 7_000],
  /** 5 MB/s when a frame is written every 25 ms: whoever stops reading this falls behind at once. */
  heavy: Array(16).fill(131_072),
};

const noise = makeNoise();

/** How many frames a group of this profile has. */
export function framesPerGroup(profile) {
  return PROFILES[profile].length;
}

/** The payload of one frame. Sizes rotate from group to group, so that each of them comes first at some time. */
export function frameAt(profile, group, frame) {
  const sizes = PROFILES[profile];
  const size = sizes[(group + frame) % sizes.length];
  const start = mix(group, frame) % (NOISE_BYTES - size);
  return noise.slice(start, start + size);
}

/** `undefined` when these are the bytes of that frame, else what is wrong with them. */
export function faultIn(payload, profile, group, frame) {
  const expected = frameAt(profile, group, frame);
  if (payload.length !== expected.length) {
    return `group ${group} frame ${frame}: ${payload.length} bytes instead of ${expected.length}`;
  }
  for (let at = 0; at < expected.length; at++) {
    if (payload[at] !== expected[at]) return `group ${group} frame ${frame}: byte ${at} of ${expected.length} differs`;
  }
  return undefined;
}

function makeNoise() {
  const bytes = new Uint8Array(NOISE_BYTES);
  let state = 0x9e3779b9;
  for (let at = 0; at < bytes.length; at++) {
    state ^= state << 13;
    state ^= state >>> 17;
    state ^= state << 5;
    bytes[at] = state >>> 24;
  }
  return bytes;
}

/** Spreads (group, frame) over 32 bits. */
function mix(group, frame) {
  let hash = Math.imul(group + 1, 0x85ebca6b) ^ Math.imul(frame + 1, 0xc2b2ae35);
  hash = Math.imul(hash ^ (hash >>> 15), 0x2c1b3c6d);
  return (hash ^ (hash >>> 13)) >>> 0;
}
