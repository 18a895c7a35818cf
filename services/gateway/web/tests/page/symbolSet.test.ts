import { describe, expect, test } from "vitest";
import { parseSymbols, quoteInSearch, searchWith, symbolsInSearch } from "../../src/page/symbolSet.ts";

describe("a set of symbols", () => {
  test.each([
    ["short and long spellings", "btc, ETH-USDT,eth-btc", ["BTC", "ETH-USDT", "ETH-BTC"]],
    ["each once", "BTC,BTC-USD,btc", ["BTC", "BTC-USD"]],
    ["text that is not a symbol stays, so that its card can say so", "BTC,a/b", ["BTC", "a/b"]],
    ["nothing", ",, ,", []],
    ["a very long text is cut", "x".repeat(500), ["x".repeat(65)]],
  ])("%s", (_, text, symbols) => {
    expect(parseSymbols(text)).toEqual(symbols);
  });

  test("holds no more than fifty", () => {
    expect(parseSymbols(Array.from({ length: 200 }, (_, index) => `C${index}`).join())).toHaveLength(50);
  });

  test.each([
    ["?symbols=BTC,DOGE", ["BTC", "DOGE"]],
    ["?symbols=", null],
    ["?theme=dark", null],
  ])("in the address %s", (search, symbols) => {
    expect(symbolsInSearch(search)).toEqual(symbols);
  });

  test.each([
    ["", ["BTC", "ETH-BTC"], null, "?symbols=BTC,ETH-BTC"],
    ["?theme=dark&symbols=SOL", ["BTC"], null, "?symbols=BTC&theme=dark"],
    ["?theme=dark&symbols=SOL", null, null, "?theme=dark"],
    ["?symbols=SOL&quote=USD", null, null, ""],
    ["?symbols=SOL", ["SOL"], "USD", "?symbols=SOL&quote=USD"],
    ["", null, "USD", "?quote=USD"],
    ["", ["a/b&c"], null, "?symbols=a%2Fb%26c"],
  ])("address %j asking for %j in %j", (search, symbols, quote, expected) => {
    expect(searchWith(search, symbols, quote)).toBe(expected);
  });

  test.each([
    ["?quote=usd", "USD"],
    ["?quote=EUR&symbols=BTC", "EUR"],
    ["?quote=BTC-USD", null],
    ["?quote=%24", null],
    ["?quote=", null],
    ["", null],
  ])("the quote in the address %s is %j", (search, quote) => {
    expect(quoteInSearch(search)).toBe(quote);
  });

  test("survives being written to a URL and read back", () => {
    const symbols = ["BTC", "ETH-BTC", "1000币-USDT"];
    const search = searchWith("?theme=dark", symbols, "USD");
    expect([symbolsInSearch(search), quoteInSearch(search)]).toEqual([symbols, "USD"]);
  });
});
