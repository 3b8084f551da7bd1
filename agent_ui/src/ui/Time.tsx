import { absoluteTime, relativeTime } from "./time";
import { useNow } from "./useNow";

/** A past time never reads as one to come, though the page's clock ticks slowly and servers' clocks run ahead. */
export function RelativeTime({ at, future = false }: { at: string; future?: boolean }) {
  const then = Date.parse(at);
  const current = useNow();
  return (
    <time dateTime={at} title={absoluteTime(at)}>
      {relativeTime(then, future ? current : Math.max(current, then))}
    </time>
  );
}
