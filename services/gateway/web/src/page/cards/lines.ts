/** The exchanges' lines: which style each has, in every chart and legend of a page, and which of them a chart shows. */
import type { TickerSource } from "../../types.ts";
import { createValue, type Value } from "../value.ts";

/** How many line styles tokens.css, Legend.css and drawChart.ts define. */
const STYLES = 6;
/** How many lines a chart shows unless the visitor chooses. With more, they hide each other. */
const SHOWN = 3;

/** The exchanges, in the order in which they were first drawn. */
const drawn: string[] = [];

/** Return the number of an exchange's line style, from 1. Exchanges that are drawn after the sixth begin anew. */
export function lineNumber(exchange: string): number {
  if (!drawn.includes(exchange)) drawn.push(exchange);
  return (drawn.indexOf(exchange) % STYLES) + 1;
}

interface Choice {
  readonly shown: Value<readonly string[]>;
  /** The exchanges among which the heaviest were chosen; null once the visitor has chosen. */
  among: string | null;
}

const choices = new Map<string, Choice>();

function choiceOf(symbol: string): Choice {
  const choice = choices.get(symbol) ?? { shown: createValue<readonly string[]>([]), among: "" };
  choices.set(symbol, choice);
  return choice;
}

/** Return the exchanges whose lines a symbol's chart shows. */
export function shownLines(symbol: string): Value<readonly string[]> {
  return choiceOf(symbol).shown;
}

/**
 * Show the lines of the heaviest exchanges, unless the visitor has chosen. They are chosen once, and again when another exchange
 * appears, so that lines do not come and go with every change of a weight.
 */
export function showHeaviest(symbol: string, sources: readonly TickerSource[]) {
  const choice = choiceOf(symbol);
  const isWeighed = sources.some(({ weight }) => weight > 0);
  const among = isWeighed ? `${sources.map(({ exchange }) => exchange).sort()}` : "";
  if (choice.among === null || (choice.among !== "" && choice.among === among) || (!among && choice.among)) return;
  choice.among = among;
  const next = heaviest(sources);
  if (`${next}` !== `${choice.shown.get()}`) choice.shown.set(next);
}

/** Show or hide the line of an exchange, because the visitor wants it. */
export function toggleLine(symbol: string, exchange: string) {
  const choice = choiceOf(symbol);
  choice.among = null;
  const before = choice.shown.get();
  choice.shown.set(before.includes(exchange) ? before.filter((other) => other !== exchange) : [...before, exchange]);
}

/** Return the exchanges with the largest weights, the largest first. Pure. */
export function heaviest(sources: readonly TickerSource[]): readonly string[] {
  return [...sources]
    .sort((a, b) => b.weight - a.weight || a.exchange.localeCompare(b.exchange))
    .slice(0, SHOWN)
    .map(({ exchange }) => exchange);
}
