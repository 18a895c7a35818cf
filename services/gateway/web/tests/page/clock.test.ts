import { expect, test } from "vitest";
import { formatMark, formatStep } from "../../src/page/clock.ts";

const TIME = Date.UTC(2026, 11, 1, 14, 2, 11);
const local = (options: Intl.DateTimeFormatOptions) => new Date(TIME).toLocaleDateString([], options);
const timeOfDay = (options: Intl.DateTimeFormatOptions) =>
  new Date(TIME).toLocaleTimeString([], { ...options, hourCycle: "h23" });
const MINUTES = { hour: "2-digit", minute: "2-digit" } as const;
const DAY = { day: "numeric", month: "short" } as const;

test.each([
  ["a second", 1, timeOfDay({ ...MINUTES, second: "2-digit" })],
  ["a minute", 60, timeOfDay(MINUTES)],
  ["an hour", 3600, `${local(DAY)} ${timeOfDay(MINUTES)}`],
  ["a day", 86_400, local({ ...DAY, year: "numeric", timeZone: "UTC" })],
])("the beginning of %s is told as exactly as it is long", (_, stepS, text) => {
  expect(formatStep(TIME, stepS)).toBe(text);
});

test("a day is the one that begins in UTC, wherever the visitor is", () => {
  expect(formatStep(Date.UTC(2026, 11, 1), 86_400)).toMatch(/\b1\b/);
});

test.each([
  ["seconds", 1, 3, timeOfDay(MINUTES)],
  ["minutes, also where a day begins", 60, 2, timeOfDay(MINUTES)],
  ["hours", 3600, 2, local(DAY)],
  ["days", 86_400, 2, local({ ...DAY, timeZone: "UTC" })],
  ["days, where a month begins", 86_400, 1, local({ month: "short", timeZone: "UTC" })],
  ["days, where a year begins", 86_400, 0, local({ year: "numeric", timeZone: "UTC" })],
])("a mark of %s", (_, stepS, level, text) => {
  expect(formatMark(TIME, stepS, level)).toBe(text);
});
