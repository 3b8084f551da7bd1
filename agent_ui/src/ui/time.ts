const STEPS: [Intl.RelativeTimeFormatUnit, number][] = [
  ["second", 60],
  ["minute", 60],
  ["hour", 24],
  ["day", 30],
  ["month", 12],
  ["year", Number.POSITIVE_INFINITY],
];

/** The console's words are English, whatever the browser speaks; clocks, dates and amounts follow the browser. */
export const WORDS_LANGUAGE = "en-GB";

/** "3 minutes ago". Within a few seconds it is "now": clocks differ, and the future reads wrong. */
export function relativeTime(then: number, now: number): string {
  const format = new Intl.RelativeTimeFormat(WORDS_LANGUAGE, { numeric: "auto", style: "short" });
  let value = (then - now) / 1000;
  if (Math.abs(value) < 5) return format.format(0, "second");
  for (const [unit, size] of STEPS) {
    if (Math.abs(value) < size) return format.format(Math.trunc(value), unit);
    value /= size;
  }
  return "";
}

const absolute = new Intl.DateTimeFormat(undefined, { dateStyle: "full", timeStyle: "long" });
const clock = new Intl.DateTimeFormat(undefined, { timeStyle: "medium" });
const dayAndClock = new Intl.DateTimeFormat(undefined, { dateStyle: "medium", timeStyle: "short" });

export const absoluteTime = (iso: string): string => absolute.format(new Date(iso));
export const clockTime = (iso: string): string => clock.format(new Date(iso));
export const shortTime = (iso: string): string => dayAndClock.format(new Date(iso));
