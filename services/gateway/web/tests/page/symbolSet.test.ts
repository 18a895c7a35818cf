import { describe, expect, test } from "vitest";
import { parseSymbols, searchWith, symbolsInSearch } from "../../src/page/symbolSet.ts";

describe("a set of symbols", () => {
  test.each([
    ["short and long spellings", "btc, ETH-USDT,eth-btc", ["BTC-USDT", "ETH-USDT", "ETH-BTC"]],
    ["each once", "BTC,BTC-USDT,btc", ["BTC-USDT"]],
    ["text that is not a symbol stays, so that its card can say so", "BTC,a/b", ["BTC-USDT", "a/b"]],
    ["nothing", ",, ,", []],
    ["a very long text is cut", "x".repeat(500), ["x".repeat(65)]],
  ])("%s", (_, text, symbols) => {
    expect(parseSymbols(text)).toEqual(symbols);
  });

  test("holds no more than fifty", () => {
    expect(parseSymbols(Array.from({ length: 200 }, (_, index) => `C${index}`).join())).toHaveLength(50);
  });

  test.each([
    ["?symbols=BTC,DOGE", ["BTC-USDT", "DOGE-USDT"]],
    ["?symbols=", null],
    ["?theme=dark", null],
  ])("in the address %s", (search, symbols) => {
    expect(symbolsInSearch(search)).toEqual(symbols);
  });

  test.each([
    ["", ["BTC-USDT", "ETH-BTC"], "?symbols=BTC,ETH-BTC"],
    ["?theme=dark&symbols=SOL", ["BTC-USDT"], "?symbols=BTC&theme=dark"],
    ["?theme=dark&symbols=SOL", null, "?theme=dark"],
    ["?symbols=SOL", null, ""],
    ["", ["a/b&c"], "?symbols=a%2Fb%26c"],
  ])("address %j asking for %j", (search, symbols, expected) => {
    expect(searchWith(search, symbols)).toBe(expected);
  });

  test("survives being written to a URL and read back", () => {
    const symbols = ["BTC-USDT", "ETH-BTC", "1000币-USDT"];
    expect(symbolsInSearch(searchWith("?theme=dark", symbols))).toEqual(symbols);
  });
});
