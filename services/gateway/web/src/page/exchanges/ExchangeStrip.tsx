/** A line with the state of each exchange's feed. */
import { Fragment, useState } from "react";
import type { FeedStatus } from "../../types.ts";
import { useConnection } from "../../useRealtimeTicker.ts";
import { formatSince, formatTime, formatTimeOfDay } from "../clock.ts";
import { exchangeName } from "../names.ts";
import { Popover } from "../parts/Popover.tsx";
import { type MarkState, StateMark } from "../parts/StateMark.tsx";
import { pausedAt } from "../settings.ts";
import { useValue } from "../value.ts";
import "./ExchangeStrip.css";
import { LatencyReading } from "./LatencyReading.tsx";

export function ExchangeStrip({ symbols }: { symbols: readonly string[] }) {
  const isTold = useIsTold();
  const { exchanges, status } = useConnection();
  const feeds = Object.values(exchanges).sort((a, b) => a.exchange.localeCompare(b.exchange));
  return (
    <section className="exchanges" aria-label="Exchanges">
      <ul>
        {feeds.map((feed) => (
          <li key={feed.exchange}>
            <Exchange feed={feed} isTold={isTold} />
          </li>
        ))}
        {!feeds.length && (
          <li className="label">
            {status === "live" ? "The gateway has not reported any exchange yet" : "Exchanges: not known"}
          </li>
        )}
      </ul>
      <LatencyReading symbols={symbols} />
    </section>
  );
}

/** Whether the exchanges' states are current: the stream is open, and has reported one since it was last interrupted. */
function useIsTold(): boolean {
  const { exchanges, status } = useConnection();
  const isAway = status === "reconnecting" || status === "offline";
  const [before, setBefore] = useState<typeof exchanges | null>(null); // the states when it was interrupted
  if (isAway && before !== exchanges) setBefore(exchanges);
  return !isAway && before !== exchanges;
}

const MARKS: Readonly<Record<FeedStatus["state"], MarkState>> = {
  connected: "live",
  degraded: "degraded",
  connecting: "waiting",
  reconnecting: "stale",
  blocked: "offline",
  down: "offline",
};

interface Props {
  readonly feed: FeedStatus;
  /** Whether `feed` is current. Without a stream it is only the last known state. */
  readonly isTold: boolean;
}

function Exchange({ feed, isTold }: Props) {
  const { exchange, state, reason, since, symbols, lastTickTime, reconnects, simulated, instances, others } = feed;
  const troubled = others.filter((other) => other.state !== "connected");
  const isWell = state === "connected";
  const isPaused = useValue(pausedAt) !== null;
  const mark = isPaused ? "paused" : isTold ? MARKS[state] : "stale";
  return (
    <Popover
      isHint
      className="exchange"
      label={
        <>
          <StateMark state={mark} />
          <b>
            {exchangeName(exchange)}
            {instances > 1 && ` ×${instances}`}
          </b>
          <span className="exchange-state" data-state={isTold ? state : undefined}>
            {!isTold && "was "}
            {isWell ? state : `${state} since ${formatTimeOfDay(since, "minutes")}`}
            {!isWell && reason && `: ${reason}`}
          </span>
          {isWell && isTold && <span className="label exchange-count">{count(symbols, "symbol")}</span>}
          {isWell && isTold && troubled.length > 0 && (
            <span className="label">{count(troubled.length, "copy", "copies")} in trouble</span>
          )}
        </>
      }
    >
      <p>
        {exchangeName(exchange)} {isTold ? "is" : "was last known to be"} {state} {formatSince(since)}
        {reason && `: ${reason}`}.
      </p>
      <p>
        It carries {count(symbols, "symbol")}.{" "}
        {lastTickTime === null ? "No price has arrived from it yet." : `Its last price arrived at ${formatTime(lastTickTime)}.`}{" "}
        {reconnects > 0 && `It has reconnected ${count(reconnects, "time")}.`}
      </p>
      {instances > 1 && (
        <p>
          {instances} copies read it independently; one is enough.
          {troubled.map((other) => (
            <Fragment key={other.instance}>
              {" "}
              Another copy is {other.state} {formatSince(other.since)}
              {other.reason && `: ${other.reason}`}.
            </Fragment>
          ))}
        </p>
      )}
      {simulated && <p>The simulator plays this exchange: its prices are not market prices.</p>}
    </Popover>
  );
}

function count(number: number, one: string, many = `${one}s`): string {
  return `${number} ${number === 1 ? one : many}`;
}
