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
