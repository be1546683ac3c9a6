/** Waiting that ends: every wait of these tests has a bound, and says what was missing when it is passed. */

/** How long anything may take that is expected to happen at once, in milliseconds. Generous, since builds share the machine. */
export const SOON_MS = 15_000;

/** The outcome of `promise`, or an error naming `what()` after `ms` milliseconds. */
export async function within(ms, promise, what) {
  let timer;
  const late = new Promise((_, reject) => {
    timer = setTimeout(() => reject(new Error(`still waiting after ${ms} ms: ${what()}`)), ms);
  });
  try {
    return await Promise.race([promise, late]);
  } finally {
    clearTimeout(timer);
  }
}
