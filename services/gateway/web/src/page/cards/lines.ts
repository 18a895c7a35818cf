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
  /** Whether the visitor has chosen. */
  isOwn: boolean;
}

const choices = new Map<string, Choice>();

function choiceOf(symbol: string): Choice {
  const choice = choices.get(symbol) ?? { shown: createValue<readonly string[]>([]), isOwn: false };
  choices.set(symbol, choice);
  return choice;
}

/** Return the exchanges whose lines a symbol's chart shows. */
export function shownLines(symbol: string): Value<readonly string[]> {
  return choiceOf(symbol).shown;
}

/**
 * Show the lines of the heaviest exchanges, unless the visitor has chosen. Lines that are shown stay until another exchange has
 * twice the weight of one of them, so that they do not come and go with every change of a weight.
 */
export function showHeaviest(symbol: string, sources: readonly TickerSource[]) {
  const { shown, isOwn } = choiceOf(symbol);
  if (isOwn) return;
  const before = shown.get();
  const weights = new Map(sources.map(({ exchange, weight }) => [exchange, weight]));
  const lightest = Math.min(...before.map((exchange) => weights.get(exchange) ?? 0));
  const heaviestHidden = Math.max(...sources.map(({ exchange, weight }) => (before.includes(exchange) ? 0 : weight)));
  const isFull = before.length >= Math.min(SHOWN, sources.length);
  if (!isFull || heaviestHidden > 2 * lightest) shown.set(heaviest(sources));
}

/** Show or hide the line of an exchange, because the visitor wants it. */
export function toggleLine(symbol: string, exchange: string) {
  const choice = choiceOf(symbol);
  choice.isOwn = true;
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
