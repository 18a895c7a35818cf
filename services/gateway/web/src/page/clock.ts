/** Formats times of day and durations for the page, in the visitor's time zone and in 24-hour form. */
import { formatAge } from "../format.ts";

/** Format a time (Unix milliseconds) as a time of day, `14:02` or `14:02:11`. */
export function formatTimeOfDay(time: number, to: "minutes" | "seconds"): string {
  const seconds = to === "seconds" ? ({ second: "2-digit" } as const) : {};
  return new Date(time).toLocaleTimeString([], { hour: "2-digit", minute: "2-digit", ...seconds, hourCycle: "h23" });
}

/** Format when something happened: the time of day, after the date if it was not today. */
export function formatTime(time: number, now = Date.now()): string {
  const date = new Date(time);
  const isToday = date.toDateString() === new Date(now).toDateString();
  return `${isToday ? "" : `${date.toLocaleDateString()} `}${formatTimeOfDay(time, "seconds")}`;
}

/** Format since when a state has lasted: `since 14:02:11 (3 min)`. */
export function formatSince(time: number, now = Date.now()): string {
  return `since ${formatTime(time, now)} (${formatAge(now - time)})`;
}

const DAY_S = 86_400;
const OF_A_DAY = { day: "numeric", month: "short" } as const;

/** Format when a step of a chart began: `14:02:11`, `14:02`, `1 Dec 14:00`, or the date of a day, which begins in UTC. */
export function formatStep(time: number, stepS: number): string {
  const date = new Date(time);
  if (stepS >= DAY_S) return date.toLocaleDateString([], { ...OF_A_DAY, year: "numeric", timeZone: "UTC" });
  const day = stepS >= 3600 ? `${date.toLocaleDateString([], OF_A_DAY)} ` : "";
  return `${day}${formatTimeOfDay(time, stepS < 60 ? "seconds" : "minutes")}`;
}

/** Format a mark on a chart's axis of time. `level`: the mark begins a year (0), a month (1), a day (2), or less. */
export function formatMark(time: number, stepS: number, level: number): string {
  if (stepS < 3600) return formatTimeOfDay(time, "minutes");
  const date = new Date(time);
  if (stepS < DAY_S) return date.toLocaleDateString([], OF_A_DAY);
  const parts = [{ year: "numeric" }, { month: "short" }] as const;
  return date.toLocaleDateString([], { ...(parts[level] ?? OF_A_DAY), timeZone: "UTC" });
}
