/**
 * What is told of each publisher, step by step, to all viewers at once: they come before it, and in the middle of a group; every
 * group arrives whole, to the byte; the broadcast is withdrawn, comes back, and its publisher dies. Whoever misses a step is out.
 */

import { assertUnharmed } from "../../clients/driver/story.js";
import { within } from "../../clients/roles/deadline.js";
import { framesPerGroup } from "../../clients/roles/frames.js";

const FRAMES = framesPerGroup("mixed");

/** How many frames of group 1 are there when the late viewers come. */
const OPEN_FRAMES = 5;

/** The last group before the broadcast is withdrawn. */
const LAST = 5;

/** How long all of it may take, in milliseconds: several steps of which each has its own bound. */
const STORY_MS = 90_000;

/**
 * Tells the story. `start(kind, client)` starts a publisher or a viewer of the broadcast; `commands` are the viewers that tell
 * nothing but what came, `transport` is what the others come over. By the name of each viewer: how many `frames` came and after how
 * many `ms` the late one had its first; or what its `fault` is.
 */
export async function tell({ publisher, viewers, commands, start, transport }) {
  const outcomes = new Map([...viewers, ...commands].map((client) => [client, { viewer: client.name }]));
  try {
    await within(STORY_MS, steps({ publisher, viewers, commands, start, transport, outcomes }), () => "the end of the story");
  } catch (error) {
    for (const outcome of outcomes.values()) outcome.fault ??= error.message;
  }
  return [...outcomes.values()];
}

async function steps({ publisher, viewers, commands, start, transport, outcomes }) {
  /** Has each of these viewers that has got this far take one more step. */
  const step = async (what, takers, deed) => {
    const take = async (viewer) => {
      const outcome = outcomes.get(viewer);
      if (outcome.fault) return;
      try {
        await deed(outcome, viewer);
      } catch (error) {
        outcome.fault = `${what}: ${error.message}`;
      }
    };
    await Promise.all(takers.map(take));
  };
  const everybody = [...viewers, ...commands];

  await step("coming before the publisher", everybody, async (outcome, viewer) => {
    outcome.early = await start("viewer", viewer);
  });
  const source = await start("publisher", publisher);
  await source.write(FRAMES + OPEN_FRAMES);
  await step("an open group", everybody, ({ early }) => early.framesOf(1, OPEN_FRAMES));
  await step("an open group, to whoever comes late", everybody, async (outcome, viewer) => {
    outcome.late = await start("viewer", viewer);
    await outcome.late.framesOf(1, OPEN_FRAMES);
  });

  await source.write(FRAMES - OPEN_FRAMES);
  for (let group = 1; group <= LAST; group++) {
    if (group > 1) await source.write(FRAMES);
    const whole = ({ early, late }) => Promise.all([early.framesOf(group, FRAMES), late.framesOf(group, FRAMES)]);
    await step(`group ${group}`, everybody, whole);
  }
  await step("what came", everybody, async (outcome) => {
    const [early, late] = [await outcome.early.report(), await outcome.late.report()];
    if (late.firstGroup !== 1) throw new Error(`whoever came late began with group ${late.firstGroup}`);
    outcome.frames = early.frames + late.frames;
    outcome.ms = late.firstFrameMs?.toFixed(0);
  });
  await step("how it came", viewers, async ({ early, late }, viewer) => {
    // The end of a group that is full may come with the next one.
    await Promise.all([early.wholeGroup(LAST - 1), late.wholeGroup(LAST - 1)]);
    for (const report of [await early.report(), await late.report()]) {
      assertUnharmed(report);
      if (report.version !== viewer[transport]) throw new Error(`it speaks ${report.version} instead of ${viewer[transport]}`);
      if (report.announcedTimes !== 1) throw new Error(`it was announced ${report.announcedTimes} times`);
    }
  });

  await source.withdraw();
  await step("a broadcast that is withdrawn", viewers, ({ early, late }) => Promise.all([early.hears(false), late.hears(false)]));
  await source.publish();
  await source.write(FRAMES);
  const { nextGroup } = await source.report();
  await step("a broadcast that comes back", viewers, ({ early, late }) => Promise.all([early.hears(true), late.hears(true)]));
  await step("its next group", viewers, ({ early, late }) =>
    Promise.all([early.framesOf(nextGroup - 1, FRAMES), late.framesOf(nextGroup - 1, FRAMES)]),
  );
  await source.leave();
  await step("a publisher that dies", viewers, ({ early, late }) => Promise.all([early.hears(false), late.hears(false)]));
  for (const { early, late } of commands.map((command) => outcomes.get(command))) {
    early?.leave();
    late?.leave();
  }
}
