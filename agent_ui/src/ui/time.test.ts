import { expect, it } from "vitest";
import { relativeTime, timeLeft } from "./time";

const NOW = Date.parse("2026-01-10T12:00:00Z");
const SECOND = 1000;
const HOUR = 3600 * SECOND;

it.each([
  [2 * SECOND, "now"],
  [-3 * SECOND, "now"],
  [-42 * SECOND, "42 sec ago"],
  [-90 * SECOND, "1 min ago"],
  [-5 * HOUR, "5 hr ago"],
  [23.5 * HOUR, "in 23 hr"],
  [-26 * HOUR, "yesterday"],
  [-70 * 24 * HOUR, "2 mo ago"],
])("%d ms is %s", (offset, words) => {
  expect(relativeTime(NOW + offset, NOW)).toBe(words);
});

it.each([
  [6.9 * 24 * HOUR, "6 days"],
  [47 * HOUR, "47 hours"],
  [119 * 60 * SECOND, "119 minutes"],
  [61 * SECOND, "1 minute"],
  [59 * SECOND, "less than a minute"],
  [0, null],
  [-HOUR, null],
])("%d ms to go are %s", (left, words) => {
  expect(timeLeft(NOW + left, NOW)).toBe(words);
});
