/** Which of the chart's lines belongs to which exchange, so that it is the same in every chart and legend of a page. */

/** How many lines tokens.css and Legend.css know. */
const LINES = 4;
/** The exchanges in the order in which they were first drawn. */
const drawn: string[] = [];

/** Return the number of an exchange's line, 1 to 4. Those that are drawn after the third share the last. */
export function lineNumber(exchange: string): number {
  if (!drawn.includes(exchange)) drawn.push(exchange);
  return Math.min(drawn.indexOf(exchange) + 1, LINES);
}
