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

const MINUTE_MS = 60_000;
const HOUR_MS = 60 * MINUTE_MS;
export const DAY_MS = 24 * HOUR_MS;

const UNITS = [
  ["day", DAY_MS],
  ["hour", HOUR_MS],
  ["minute", MINUTE_MS],
] as const;

/** "6 days", "31 hours", "1 minute"; rounded down, since a deadline is no place to promise more. Null: it is over. */
export function timeLeft(then: number, now: number): string | null {
  const left = then - now;
  if (left <= 0) return null;
  const [unit, size] = UNITS.find(([, ms]) => left >= 2 * ms) ?? ["minute", MINUTE_MS];
  const count = Math.floor(left / size);
  if (count === 0) return "less than a minute";
  return new Intl.NumberFormat(WORDS_LANGUAGE, { style: "unit", unit, unitDisplay: "long" }).format(count);
}
