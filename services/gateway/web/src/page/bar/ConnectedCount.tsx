/** "Real-time · 4/4 connected": how many prices are fresh and undisputed. A popover explains the state of each. */
import { useConnection } from "../../useRealtimeTicker.ts";
import { formatSince, formatTime } from "../clock.ts";
import "./ConnectedCount.css";
import { symbolName } from "../names.ts";
import { Popover } from "../parts/Popover.tsx";
import { StateMark } from "../parts/StateMark.tsx";
import { pausedAt } from "../settings.ts";
import { useValue } from "../value.ts";
import { type Standing, useStandings } from "./standings.ts";

export function ConnectedCount({ symbols }: { symbols: readonly string[] }) {
  const standings = useStandings(symbols);
  const { status } = useConnection();
  const paused = useValue(pausedAt);
  const connected = standings.filter((standing) => standing.isConnected).length;
  return (
    <Popover
      isHint
      className="connected-count"
      label={
        paused ? (
          `Paused at ${formatTime(paused)}`
        ) : (
          <>
            <span className="count-link">{LINK[status]} · </span>
            {connected}/{symbols.length} <span className="count-word">connected</span>
          </>
        )
      }
    >
      <p>
        {connected} of {symbols.length} have a fresh price that no exchange contradicts.
      </p>
      <ul className="standings">
        {standings.map((standing) => (
          <StandingLine key={standing.symbol} standing={standing} />
        ))}
      </ul>
    </Popover>
  );
}

const LINK = {
  idle: "Real-time",
  connecting: "Connecting",
  live: "Real-time",
  stale: "Real-time",
  reconnecting: "Reconnecting",
  offline: "Offline",
};

function StandingLine({ standing: { symbol, trust, since, reason } }: { standing: Standing }) {
  return (
    <li>
      <StateMark state={trust} />
      <span>
        <b>{symbolName(symbol).base}</b> {reason} {trust !== "live" && <span className="label">{formatSince(since)}</span>}
      </span>
    </li>
  );
}
