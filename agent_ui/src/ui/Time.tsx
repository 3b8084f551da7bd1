import { useSyncExternalStore } from "react";
import { absoluteTime, relativeTime } from "./time";

const TICK_MS = 10_000;
let now = Date.now();

/** One clock for all the relative times on a page. */
function tick(changed: () => void): () => void {
  const timer = setInterval(() => {
    now = Date.now();
    changed();
  }, TICK_MS);
  return () => clearInterval(timer);
}

/** A past time never reads as one to come, though the page's clock ticks slowly and servers' clocks run ahead. */
export function RelativeTime({ at, future = false }: { at: string; future?: boolean }) {
  const then = Date.parse(at);
  const current = useSyncExternalStore(tick, () => now);
  return (
    <time dateTime={at} title={absoluteTime(at)}>
      {relativeTime(then, future ? current : Math.max(current, then))}
    </time>
  );
}
