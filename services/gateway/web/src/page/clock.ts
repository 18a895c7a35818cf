/** Times of day and lengths of time, as the page writes them. */
import { formatAge } from "../format.ts";

/** Write when something happened: the time, with the date if it was not today. */
export function formatTime(time: number, now = Date.now()): string {
  const date = new Date(time);
  const isToday = date.toDateString() === new Date(now).toDateString();
  return isToday ? date.toLocaleTimeString() : date.toLocaleString();
}

/** Write since when something has been so: `since 14:02:11 (3 min)`. */
export function formatSince(time: number, now = Date.now()): string {
  return `since ${formatTime(time, now)} (${formatAge(now - time)})`;
}
