/** Which of the chart's lines belongs to which exchange, so that it is the same in every chart and legend. */

const KNOWN = ["binance", "bybit", "okx"];

/** Return the number of an exchange's line, 1 to 4; all that are not known share the last. */
export function lineNumber(exchange: string): number {
  const index = KNOWN.indexOf(exchange);
  return index < 0 ? KNOWN.length + 1 : index + 1;
}
