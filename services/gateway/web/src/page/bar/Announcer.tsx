/** The page's only live region. It announces changes of a symbol's state and, on request, the prices at intervals. */
import { useEffect, useRef } from "react";
import { useConnection, useRealtimeClient } from "../../useRealtimeTicker.ts";
import { announcement } from "../announcement.ts";
import { announcing, pausedAt } from "../settings.ts";
import { useValue } from "../value.ts";
import { SPOKEN_FIELDS, type SpokenState, summaryOf, transitionsOf } from "./spoken.ts";
import { type Standing, useStandings } from "./standings.ts";

const SETTLED_MS = 3000;
const SUMMARY_MS = 15_000;

export function Announcer({ symbols }: { symbols: readonly string[] }) {
  useTransitions(symbols);
  useSummaries(symbols);
  return (
    <p className="visually-hidden" role="status" aria-live="polite">
      {useValue(announcement)}
    </p>
  );
}

/** Announce what changed since the last announcement, once nothing has changed for `SETTLED_MS`. */
function useTransitions(symbols: readonly string[]) {
  const standings = useStandings(symbols);
  const { status } = useConnection();
  const isPaused = useValue(pausedAt) !== null;
  const said = useRef<{ standings: readonly Standing[]; status: string } | null>(null);
  useEffect(() => {
    if (isPaused) return;
    const settled = setTimeout(() => {
      const text = transitionsOf(said.current?.standings ?? null, standings);
      const link = said.current && said.current.status !== status ? LINK[status] : undefined;
      said.current = { standings, status };
      if (link ?? text) announcement.set(link ?? text);
    }, SETTLED_MS);
    return () => clearTimeout(settled);
  }, [standings, status, isPaused]);
}

const LINK: Readonly<Record<string, string>> = { reconnecting: "Reconnecting.", offline: "Offline.", live: "Connected again." };

/** If the visitor asked for it, announce the prices every `SUMMARY_MS`. */
function useSummaries(symbols: readonly string[]) {
  const client = useRealtimeClient();
  const isOn = useValue(announcing);
  const isPaused = useValue(pausedAt) !== null;
  useEffect(() => {
    if (!isOn || isPaused) return;
    const say = () => {
      const states = symbols.map((symbol): [string, SpokenState] => [
        symbol,
        client.symbol(symbol, { fields: SPOKEN_FIELDS }).getSnapshot(),
      ]);
      announcement.set(summaryOf(states));
    };
    say();
    const timer = setInterval(say, SUMMARY_MS);
    return () => clearInterval(timer);
  }, [client, symbols, isOn, isPaused]);
}
