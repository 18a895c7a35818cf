/** How each exchange's feed is doing, in a line. */
import type { FeedStatus } from "../../types.ts";
import { useConnection } from "../../useRealtimeTicker.ts";
import { formatSince, formatTime, formatTimeOfDay } from "../clock.ts";
import { exchangeName } from "../names.ts";
import { Popover } from "../parts/Popover.tsx";
import { type MarkState, StateMark } from "../parts/StateMark.tsx";
import { useHeld } from "../parts/useHeld.ts";
import { pausedAt } from "../settings.ts";
import { useValue } from "../value.ts";
import "./ExchangeStrip.css";
import { LatencyReading } from "./LatencyReading.tsx";

export function ExchangeStrip({ symbols }: { symbols: readonly string[] }) {
  const { exchanges } = useHeld(useConnection());
  const feeds = Object.values(exchanges).sort((a, b) => a.exchange.localeCompare(b.exchange));
  return (
    <section className="exchanges" aria-label="Exchanges">
      <ul>
        {feeds.map((feed) => (
          <li key={`${feed.exchange} ${feed.instance}`}>
            <Exchange feed={feed} />
          </li>
        ))}
      </ul>
      <LatencyReading symbols={symbols} />
    </section>
  );
}

const MARKS: Readonly<Record<FeedStatus["state"], MarkState>> = {
  connected: "live",
  degraded: "degraded",
  connecting: "waiting",
  reconnecting: "stale",
  blocked: "offline",
  down: "offline",
};

function Exchange({
  feed: { exchange, state, reason, since, symbols, lastTickTime, reconnects, simulated },
}: {
  feed: FeedStatus;
}) {
  const isWell = state === "connected";
  const isPaused = useValue(pausedAt) !== null;
  return (
    <Popover
      isHint
      className="exchange"
      label={
        <>
          <StateMark state={isPaused ? "paused" : MARKS[state]} />
          <b>{exchangeName(exchange)}</b>
          <span className="exchange-state" data-state={state}>
            {isWell ? state : `${state} since ${formatTimeOfDay(since, "minutes")}`}
            {!isWell && reason && `: ${reason}`}
          </span>
          {isWell && <span className="label">{count(symbols, "symbol")}</span>}
        </>
      }
    >
      <p>
        {exchangeName(exchange)} is {state} {formatSince(since)}
        {reason && `: ${reason}`}.
      </p>
      <p>
        It carries {count(symbols, "symbol")}.{" "}
        {lastTickTime === null ? "No price has come from it yet." : `Its last price came at ${formatTime(lastTickTime)}.`}{" "}
        {reconnects > 0 && `It has reconnected ${count(reconnects, "time")}.`}
      </p>
      {simulated && <p>It is played by the simulator: these are not market prices.</p>}
    </Popover>
  );
}

function count(number: number, what: string): string {
  return `${number} ${what}${number === 1 ? "" : "s"}`;
}
