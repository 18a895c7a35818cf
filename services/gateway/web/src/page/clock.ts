/** Times of day and lengths of time, as the page writes them: in the visitor's time zone, on a clock of 24 hours. */
import { formatAge } from "../format.ts";

/** Write a time of day, `14:02` or `14:02:11`. */
export function formatTimeOfDay(time: number, to: "minutes" | "seconds"): string {
  const seconds = to === "seconds" ? ({ second: "2-digit" } as const) : {};
  return new Date(time).toLocaleTimeString([], { hour: "2-digit", minute: "2-digit", ...seconds, hourCycle: "h23" });
}

/** Write when something happened: the time of day, with the date if it was not today. */
export function formatTime(time: number, now = Date.now()): string {
  const date = new Date(time);
  const isToday = date.toDateString() === new Date(now).toDateString();
  return `${isToday ? "" : `${date.toLocaleDateString()} `}${formatTimeOfDay(time, "seconds")}`;
}

/** Write since when something has been so: `since 14:02:11 (3 min)`. */
export function formatSince(time: number, now = Date.now()): string {
  return `since ${formatTime(time, now)} (${formatAge(now - time)})`;
}
