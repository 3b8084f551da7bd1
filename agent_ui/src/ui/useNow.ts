import { useSyncExternalStore } from "react";

const TICK_MS = 10_000;
let now = Date.now();

/** One clock for all that a page tells relative to now. */
function tick(changed: () => void): () => void {
  const look = () => {
    now = Date.now();
    changed();
  };
  const timer = setInterval(look, TICK_MS);
  // Nobody may have looked for long.
  if (Date.now() - now > TICK_MS) look();
  return () => clearInterval(timer);
}

/** The browser's time in milliseconds, at most ten seconds old. */
export const useNow = (): number => useSyncExternalStore(tick, () => now);
