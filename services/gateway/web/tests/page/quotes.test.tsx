/** The symbols that the page asks for and offers, by the quote that the visitor chose. */
import { act, cleanup, fireEvent, render, screen } from "@testing-library/react";
import { afterEach, beforeEach, expect, test, vi } from "vitest";
import { FakeClient, state } from "./fakeClient.ts";

vi.mock("../../src/page/cards/drawChart.ts", () => ({
  drawChart: () => ({ load() {}, add() {}, setDecimals() {}, setTag() {}, show() {}, recolour() {}, remove() {} }),
}));

const LISTED = [
  { symbol: "BTC-USDT", exchanges: ["binance", "okx"] },
  { symbol: "BTC-USD", exchanges: ["coinbase"] },
  { symbol: "FOO-EUR", exchanges: ["kraken"] },
  { symbol: "FOO-USD", exchanges: ["kraken"] },
  { symbol: "USDT-USD", exchanges: ["coinbase"] },
];
let client: FakeClient;
let quote: string;

beforeEach(() => {
  vi.resetModules(); // the choice is read from the address when its module is loaded
  localStorage.clear();
  client = new FakeClient();
  quote = "USDT";
  vi.stubGlobal("fetch", (url: string) =>
    url === "/api/symbols"
      ? Promise.resolve(Response.json({ featured: [`BTC-${quote}`, "ETH-EUR"], quote, symbols: LISTED }))
      : Promise.reject(new TypeError("no network in this test")),
  );
});

afterEach(() => {
  cleanup();
  vi.unstubAllGlobals();
  history.replaceState(null, "", "/");
});

/** Open the page at a query. */
async function open(search: string) {
  history.replaceState(null, "", `/${search}`);
  const { Page } = await import("../../src/page/Page.tsx");
  const { RealtimeContext } = await import("../../src/useRealtimeTicker.ts");
  await act(async () => {
    render(
      <RealtimeContext value={client}>
        <Page />
      </RealtimeContext>,
    );
  });
}

const cards = () => screen.getAllByRole("article").map((card) => card.id);
const tiles = () => [...document.querySelectorAll(".tile a")].map((link) => link.getAttribute("href"));
const choose = (name: string) => fireEvent.click(screen.getByRole("button", { name }));
const pressed = () =>
  [...document.querySelectorAll(".quotes button")].map((one) => [one.textContent, one.getAttribute("aria-pressed")]);

test("without a choice the gateway decides, and the switch shows its quote", async () => {
  await open("");
  expect(cards()).toEqual(["BTC", "ETH-EUR"]);
  expect(tiles()).toEqual(["#BTC", "#ETH-EUR"]);
  expect(pressed()).toEqual([
    ["USDT", "true"],
    ["USD", "false"],
  ]);
  expect(location.search).toBe("");
});

test("a gateway's quote of its own is offered, too", async () => {
  quote = "EUR";
  await open("?symbols=BTC");
  expect(pressed()).toEqual([
    ["USDT", "false"],
    ["USD", "false"],
    ["EUR", "true"],
  ]);
});

test("a choice changes cards and bar, but no symbol with a quote of its own, and is remembered and in the address", async () => {
  await open("?symbols=BTC,ETH-BTC");
  choose("USD");
  expect(cards()).toEqual(["BTC-USD", "ETH-BTC"]);
  expect(tiles()).toEqual(["#BTC-USD", "#ETH-EUR"]);
  expect(location.search).toBe("?symbols=BTC,ETH-BTC&quote=USD");
  expect(localStorage.getItem("market-pulse.quote")).toBe("USD");
  choose("USDT");
  expect(cards()).toEqual(["BTC-USDT", "ETH-BTC"]);
  expect(location.search).toBe("?symbols=BTC,ETH-BTC&quote=USDT");
});

test("the address takes precedence over what is remembered", async () => {
  localStorage.setItem("market-pulse.quote", "USDT");
  await open("?symbols=BTC&quote=usd");
  expect(cards()).toEqual(["BTC-USD"]);
  expect(localStorage.getItem("market-pulse.quote")).toBe("USDT");
});

test("what is remembered is in the address", async () => {
  localStorage.setItem("market-pulse.quote", "USD");
  await open("?symbols=BTC");
  expect(cards()).toEqual(["BTC-USD"]);
  expect(location.search).toBe("?symbols=BTC&quote=USD");
});

test("a symbol that has no price in the chosen quote stays in the one that is listed", async () => {
  await open("?symbols=FOO,USDT,BAR&quote=USDT");
  expect(cards()).toEqual(["FOO-USDT", "USDT-USD", "BAR-USDT"]);
  const error = { code: "unknown_symbol", message: "nobody lists it" } as const;
  for (const symbol of ["FOO-USDT", "BAR-USDT"])
    client.say(symbol, { ...state(symbol, "ok"), ticker: null, latest: null, error });
  expect(cards()).toEqual(["FOO-USD", "USDT-USD", "BAR-USDT"]);
  expect(location.search).toBe("?symbols=FOO,USDT,BAR&quote=USDT");
});

test("a symbol found in the shown quote follows the switch, one in another quote does not", async () => {
  await open("?symbols=ETH");
  const find = (text: string) => {
    fireEvent.change(screen.getByRole("combobox", { name: "Add a symbol" }), { target: { value: text } });
    fireEvent.keyDown(screen.getByRole("combobox", { name: "Add a symbol" }), { key: "Enter" });
  };
  find("BTC-USDT");
  find("BTC-USD");
  expect(cards()).toEqual(["ETH", "BTC", "BTC-USD"]);
  choose("USD");
  expect(cards()).toEqual(["ETH-USD", "BTC-USD"]);
  fireEvent.click(document.querySelector("#BTC-USD .card-remove") as Element);
  expect(cards()).toEqual(["ETH-USD"]);
  expect(location.search).toBe("?symbols=ETH&quote=USD");
});

test("each price stands with its quote, as the gateway told it", async () => {
  await open("?symbols=BTC,BTC-USD");
  client.say("BTC", state("BTC-USDT", "ok", { price: 64020 }));
  client.say("BTC-USD", state("BTC-USD", "ok", { price: 64001 }));
  const prices = [...document.querySelectorAll(".card-price")].map((price) => [
    price.querySelector(".visually-hidden")?.textContent,
    price.querySelector(".price-quote")?.textContent,
  ]);
  expect(prices).toEqual([
    ["64,020.00", " USDT"],
    ["64,001.00", " USD"],
  ]);
  expect(screen.getAllByRole("article").map((card) => card.getAttribute("aria-label"))).toEqual(["BTC-USDT", "BTC-USD"]);
  expect(document.querySelector(".tile-price .price-quote")?.textContent).toBe(" USDT");
  expect(document.body.textContent).not.toContain("$");
});
