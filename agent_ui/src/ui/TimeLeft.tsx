import { absoluteTime, shortTime, timeLeft } from "./time";
import { useNow } from "./useNow";

/** "28 Nov 2025, 14:03 (6 days left)", or "(over)". */
export function TimeLeft({ until }: { until: string }) {
  const left = timeLeft(Date.parse(until), useNow());
  return (
    <time dateTime={until} title={absoluteTime(until)}>
      {shortTime(until)} ({left ? `${left} left` : "over"})
    </time>
  );
}
