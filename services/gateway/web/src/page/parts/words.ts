/** Says in words how far a price can be trusted. */
import { formatAgo } from "../../format.ts";
import { isAgeing, trustOf } from "../../trust.ts";
import type { SymbolState } from "../../types.ts";

export const REASON_FIELDS = ["sourcesUsed", "spreadBps"] as const;
export type ReasonState = SymbolState<(typeof REASON_FIELDS)[number]>;

/** The words, by error code, for a gateway that answers but does not stream this symbol, or anything, for now. */
const REFUSED: Readonly<Record<string, string>> = { no_room: "no room", busy: "busy", rate_limited: "too many" };

/** The words, by error code, for errors that do not end by waiting. */
const WRONG: Readonly<Record<string, string>> = {
  unknown_symbol: "not listed",
  too_many_symbols: "too many",
  unauthorized: "no key",
  bad_data: "no gateway",
};

/** Return the few words that a tile shows: "14 s ago". */
export function shortWords(state: SymbolState<never>, ageMs: number | null): string {
  const { status, latest, error } = state;
  switch (trustOf(state)) {
    case "live":
      return "live";
    case "degraded":
      if (latest?.quality === "ok" && ageMs !== null) return formatAgo(ageMs, "old");
      return latest?.quality === "disputed" ? "disputed" : "one source";
    case "stale":
      if (error?.code === "no_room") return "no room";
      return ageMs === null ? "stale" : formatAgo(ageMs);
    case "offline":
      return WRONG[error?.code ?? ""] ?? (status === "offline" ? "offline" : "no price");
    case "waiting":
      return REFUSED[error?.code ?? ""] ?? "waiting";
  }
}

/**
 * Return sentences that explain the price's state: what is wrong, and since when the price is unconfirmed. `sole` names the
 * exchange that alone makes the price, if that is known.
 */
export function reasonOf(state: ReasonState, ageMs: number | null, sole = "one exchange"): string {
  const { status, latest, error } = state;
  const age = ageMs === null ? "" : ` Last confirmed ${formatAgo(ageMs)}.`;
  if (error && error.code !== "unreachable") return `${sentence(error.message)}${age}`;
  if (status === "offline") return `The gateway cannot be reached.${age}`;
  if (status === "reconnecting") return `The stream is interrupted.${age}`;
  switch (latest?.quality) {
    case "ok":
    case "single":
      if (status !== "live") return `The price has not been renewed.${age}`;
      if (isAgeing(latest)) return `No exchange has sent anything for a while.${age}`;
      return latest.quality === "ok" ? `${latest.sourcesUsed} exchanges agree.` : `Only ${sole} has a fresh price.`;
    case "disputed":
      return `The exchanges disagree by ${latest.spreadBps ?? "many"} bps.`;
    case "stale":
      return `No exchange confirms this price.${age}`;
    case "down":
      return `No exchange has sent a price lately.${age}`;
    default:
      return "The first price has not arrived yet.";
  }
}

/** Return a message as a sentence, with a capital letter first and a full stop last. */
export function sentence(text: string): string {
  const clean = text.trim().replace(/\.$/, "");
  return `${clean.charAt(0).toUpperCase()}${clean.slice(1)}.`;
}
