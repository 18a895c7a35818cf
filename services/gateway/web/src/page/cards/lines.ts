/** Gives each exchange one line style, which is the same in every chart and legend of a page. */

/** How many line styles tokens.css and Legend.css define. */
const LINES = 4;
/** The exchanges, in the order in which they were first drawn. */
const drawn: string[] = [];

/** Return the number of an exchange's line style, 1 to 4. Exchanges that are drawn after the third share the last style. */
export function lineNumber(exchange: string): number {
  if (!drawn.includes(exchange)) drawn.push(exchange);
  return Math.min(drawn.indexOf(exchange) + 1, LINES);
}
