/** The custom element, with fake clients. Only a test in a real browser can check its looks. */
import { afterEach, beforeEach, describe, expect, test, vi } from "vitest";
import { gatewayOf } from "../src/element.ts";
import { formatPercent, formatPrice } from "../src/format.ts";
import type { ConnectionState, Field, RealtimeClient, RealtimeError, Status, Store, SymbolState, Wish } from "../src/types.ts";
import { aged, type Members } from "./fakes.ts";

const GATEWAY = "https://prices.example";
const written = (price: number) => formatPrice(price, 2).full; // in the default locale, which differs between machines
const PRICE = `${written(97000.1)} USDT`;
const UP = formatPercent(1.234);
const CLIENTS = Symbol.for("market-pulse/realtime.v3");

/** A store whose value is set by a test. */
class Played<T> implements Store<T> {
  readonly listeners = new Set<() => void>();
  constructor(private value: T) {}
  readonly subscribe = (listener: () => void) => {
    this.listeners.add(listener);
    return () => this.listeners.delete(listener);
  };
  readonly getSnapshot = () => this.value;
  readonly getServerSnapshot = () => this.value;
  set(value: T) {
    this.value = value;
    for (const listener of this.listeners) listener();
  }
}

class PlayedClient implements RealtimeClient {
  readonly symbols = new Map<string, Played<SymbolState<Field>>>();
  readonly wishes: (Wish<Field> | undefined)[] = [];
  readonly connection = new Played<ConnectionState>({ status: "live", exchanges: {}, simulated: false });
  readonly reconnect = () => {};
  readonly close = () => {};
  readonly store = (): never => {
    throw new Error("an element needs nothing but prices");
  };
  symbol(symbol: string, wish?: Wish<Field>): Played<SymbolState<Field>> {
    this.wishes.push(wish);
    const store = this.symbols.get(symbol) ?? new Played(state("connecting"));
    this.symbols.set(symbol, store);
    return store;
  }
  /** The symbols that have a subscriber. */
  get followed(): string[] {
    return [...this.symbols].filter(([, { listeners }]) => listeners.size).map(([symbol]) => symbol);
  }
}

function state(status: Status, ticker: Members = {}, error: RealtimeError | null = null) {
  const latest = ticker.price
    ? { symbol: "BTC-USDT", dp: 2, quality: "ok", changePercent24h: 1.234, ...aged(0), ...ticker }
    : null;
  return { ticker: latest, latest, heardAt: Date.now(), status, isConnected: status === "live", error } as SymbolState<Field>;
}

let client: PlayedClient;
let elsewhere: PlayedClient;

beforeEach(() => {
  vi.useFakeTimers();
  client = new PlayedClient();
  elsewhere = new PlayedClient();
  Object.assign(globalThis, {
    [CLIENTS]: new Map([
      ["", client],
      [GATEWAY, elsewhere],
    ]),
  });
});

afterEach(() => {
  document.body.replaceChildren();
  vi.useRealTimers();
});

function place(attributes: Record<string, string> = { symbols: "BTC" }): HTMLElement {
  const element = document.createElement("market-pulse");
  for (const [name, value] of Object.entries(attributes)) element.setAttribute(name, value);
  document.body.append(element);
  return element;
}

const shadow = (element: HTMLElement) => element.shadowRoot as ShadowRoot;
const tiles = (element: HTMLElement) => [...shadow(element).querySelectorAll("li")];
function find(element: HTMLElement, selector: string): HTMLElement {
  const found = shadow(element).querySelector<HTMLElement>(selector);
  if (!found) throw new Error(`no ${selector}`);
  return found;
}

/** Return the text of a tile that a screen reader reads. */
function spoken(tile: Element): string {
  const copy = tile.cloneNode(true) as Element;
  for (const silent of copy.querySelectorAll("[aria-hidden], [hidden]")) silent.remove();
  return [...copy.children].map((child) => child.textContent).join(" ");
}

describe("what it shows", () => {
  test("is a list with a tile for each symbol, once", () => {
    const element = place({ symbols: " btc, ETH,,BTC,btc-usd" });
    expect(find(element, "ul").getAttribute("role")).toBe("list");
    expect(tiles(element).map((tile) => tile.querySelector(".symbol")?.textContent)).toEqual(["BTC", "ETH", "BTC"]);
  });

  test("names the quote of each price behind it, but copies only the number", () => {
    const element = place({ symbols: "BTC,BTC-USD" });
    client.symbol("BTC").set(state("live", { price: 97000.1 }));
    client.symbol("BTC-USD").set(state("live", { symbol: "BTC-USD", price: 96970.5 }));
    const quotes = tiles(element).map((tile) => tile.querySelector(".price .quote")?.textContent);
    expect(quotes).toEqual([" USDT", " USD"]);
    client.symbol("BTC").set(state("stale"));
    expect(find(element, ".quote").textContent).toBe("");
  });

  test("is the four default symbols if the element names none", () => {
    place({});
    expect(client.followed).toEqual(["BTC", "ETH", "SOL", "BNB"]);
  });

  test.each<[string, SymbolState<Field>, string, string]>([
    ["live", state("live", { price: 97000.1 }), "full", `BTC ${PRICE} ${UP} live`],
    ["one source", state("live", { price: 97000.1, quality: "single" }), "half", `${PRICE} ${UP} live, from one exchange only`],
    [
      "disputed",
      state("live", { price: 97000.1, quality: "disputed" }),
      "half",
      `${PRICE} ${UP} live, but the exchanges disagree`,
    ],
    ["all are falling silent", state("live", { price: 97000.1, ...aged(14_000) }), "half", `${PRICE} ${UP} live, but 14 s old`],
    ["stale", state("stale", { price: 97000.1, quality: "stale" }), "hollow", `${PRICE} ${UP} stale, just now`],
    ["no price", state("stale"), "cross", "BTC – no price"],
    ["connecting", state("connecting"), "hollow", "BTC – connecting"],
    ["reconnecting", state("reconnecting", { price: 97000.1 }), "hollow", `${PRICE} ${UP} reconnecting, just now`],
    ["offline", state("offline", { price: 97000.1 }), "cross", `${PRICE} ${UP} offline, just now`],
    [
      "unknown",
      state("offline", {}, { code: "unknown_symbol", message: "nobody lists it", suggestions: ["A-B", "C-D", "E-F"] }),
      "cross",
      "BTC nobody lists it; did you mean A-B or C-D? not known",
    ],
    [
      "not a symbol",
      state("offline", {}, { code: "unknown_symbol", message: "it is not a symbol" }),
      "cross",
      "BTC/USDT it is not a symbol; did you mean BTC-USDT? not known",
    ],
    ["no room", state("stale", {}, { code: "no_room", message: "okx is full" }), "hollow", "BTC okx is full no room"],
    [
      "no room any more",
      state("stale", { price: 97000.1 }, { code: "no_room", message: "okx is full" }),
      "hollow",
      `${PRICE} ${UP} no room, just now`,
    ],
    [
      "limited",
      state("connecting", {}, { code: "rate_limited", message: "not so many streams" }),
      "hollow",
      "BTC not so many streams too many streams",
    ],
    ["busy", state("reconnecting", {}, { code: "busy", message: "draining" }), "hollow", "BTC draining busy"],
    ["unreachable", state("offline", {}, { code: "unreachable", message: "no answer" }), "cross", "BTC no answer offline"],
  ])("%s: a dot of its own shape, and words", (name, shown, shape, words) => {
    const spelt = name === "not a symbol" ? "BTC/USDT" : "BTC-USDT";
    const element = place({ symbols: spelt });
    client.symbol(spelt).set(shown);
    const [tile] = tiles(element);
    expect(tile?.dataset.shape).toBe(shape);
    expect(tile?.hasAttribute("data-live")).toBe(shown.isConnected);
    expect(spoken(tile as Element)).toContain(words);
  });

  test("has a different dot for each shape", () => {
    const element = place();
    const drawn = new Set<string | null | undefined>();
    for (const one of [
      state("live", { price: 1 }),
      state("live", { price: 1, quality: "single" }),
      state("stale", { price: 1 }),
      state("offline", { price: 1 }),
    ]) {
      client.symbol("BTC").set(one);
      drawn.add(find(element, ".dot path").getAttribute("d"));
    }
    expect(drawn.size).toBe(4);
  });

  test("an error of one symbol does not affect the others", () => {
    const element = place({ symbols: "NOPE,BTC" });
    client.symbol("NOPE").set(state("offline", {}, { code: "unknown_symbol", message: "nobody lists NOPE-USDT" }));
    client.symbol("BTC").set(state("live", { price: 97000.1 }));
    expect(tiles(element).map(spoken)).toEqual(["NOPE nobody lists NOPE-USDT not known", `BTC ${PRICE} ${UP} live`]);
  });

  test("shows a gateway's messages as text, not as HTML", () => {
    const element = place({ symbols: "<b>x</b>" });
    client.symbol("<b>x</b>").set(state("offline", {}, { code: "unknown_symbol", message: "<img src=x onerror=alert(1)>" }));
    expect(shadow(element).querySelector("img")).toBeNull();
    expect(find(element, ".error").textContent).toBe("<img src=x onerror=alert(1)>");
    expect(find(element, ".symbol").textContent).toBe("<b>x</b>");
  });

  test("draws a count of zeros in a <sub>, but reads and copies every zero", () => {
    const element = place();
    client.symbol("BTC").set(state("live", { price: 0.00000123 }));
    expect(find(element, ".digits").textContent).toBe(written(0.00000123).replace("00000", "05"));
    expect(find(element, ".digits sub").textContent).toBe("5");
    expect(find(element, ".price .spoken").textContent).toBe(written(0.00000123));
    expect(find(element, ".price").title).toBe(written(0.00000123));
    expect(find(element, ".price").classList).toContain("counted");
  });

  test("shows the direction of the percentage", () => {
    const element = place();
    const seen = [1.5, -1.5, 0.001].map((changePercent24h) => {
      client.symbol("BTC").set(state("live", { price: 1, changePercent24h }));
      return [tiles(element)[0]?.dataset.direction, find(element, ".change").textContent];
    });
    expect(seen).toEqual([
      ["up", `▲ ${formatPercent(1.5)}`],
      ["down", `▼ ${formatPercent(-1.5)}`],
      ["flat", formatPercent(0)],
    ]);
  });

  test("lets a stale price age by itself", () => {
    const element = place();
    client.symbol("BTC").set(state("stale", { price: 97000.1 }));
    vi.advanceTimersByTime(14_000);
    expect(find(element, ".note").textContent).toBe("14 s old");
  });

  test("says if prices are simulated", () => {
    const element = place();
    expect(find(element, ".simulated").hidden).toBe(true);
    client.connection.set({ status: "live", exchanges: {}, simulated: true });
    expect(find(element, ".simulated").hidden).toBe(false);
    expect(find(place(), ".simulated").hidden).toBe(false);
  });

  test("takes its style from one shared sheet, without inline styles", () => {
    const [one, other] = [place(), place()];
    client.symbol("BTC").set(state("live", { price: 0.00000123 }));
    expect(shadow(one).adoptedStyleSheets).toEqual(shadow(other).adoptedStyleSheets);
    expect(shadow(one).querySelector("style, [style]")).toBeNull();
  });
});

describe("a change of digits", () => {
  const show = (price: number, status: Status = "live") => client.symbol("BTC").set(state(status, { price }));
  const marked = (element: HTMLElement) => [
    shadow(element).querySelector(".changed")?.className,
    shadow(element).querySelector(".changed")?.textContent,
  ];

  test("is marked from the first one that differs, up or down", () => {
    const element = place();
    show(97000.12);
    expect(marked(element)).toEqual([undefined, undefined]);
    show(97000.15);
    expect(marked(element)).toEqual(["changed up", "5"]);
    vi.advanceTimersByTime(500);
    show(96999.15);
    expect(marked(element)).toEqual(["changed down", written(96999.15).slice(1)]);
    expect(find(element, ".digits").textContent).toBe(written(96999.15));
  });

  test("is not marked more than twice a second, while every price is shown", () => {
    const element = place();
    show(1000);
    let marks = 0;
    let last: Element | null = null;
    for (let i = 1; i <= 50; i++) {
      show(1000 + i);
      const mark = shadow(element).querySelector(".changed");
      if (mark !== last) marks++;
      last = mark;
      expect(find(element, ".digits").textContent).toBe(written(1000 + i));
      vi.advanceTimersByTime(20);
    }
    expect(marks).toBe(2);
  });

  test("is not marked if the price is not live", () => {
    const element = place();
    show(97000.12);
    show(97000.15, "stale");
    expect(marked(element)).toEqual([undefined, undefined]);
  });
});

describe("its place in a page", () => {
  test("it subscribes only while it is in a page", () => {
    const element = place({ symbols: "BTC,ETH" });
    expect(client.followed).toEqual(["BTC", "ETH"]);
    element.remove();
    expect(client.followed).toEqual([]);
    expect(client.connection.listeners.size).toBe(0);
    expect(vi.getTimerCount()).toBe(0);
    document.body.append(element);
    expect(client.followed).toEqual(["BTC", "ETH"]);
    expect(tiles(element)).toHaveLength(2);
  });

  test.each([
    [{}, undefined],
    [{ "max-hz": "1" }, 1],
    [{ "max-hz": "often" }, undefined],
  ])("it asks for just what it draws, at the rate of its attributes %j", (attributes, maxHz) => {
    const element = place({ symbols: "BTC", ...attributes });
    expect(client.wishes).toEqual([{ fields: ["dp", "changePercent24h"], maxHz }]);
    element.setAttribute("max-hz", "2");
    expect(client.wishes[1]?.maxHz).toBe(2);
  });

  test("several elements share one client", () => {
    const [one] = [place({ symbols: "BTC" }), place({ symbols: "BTC,ETH" })];
    expect(client.symbol("BTC").listeners.size).toBe(2);
    one.remove();
    expect(client.followed).toEqual(["BTC", "ETH"]);
  });

  test("its symbols may change, and those that stay are not unsubscribed", () => {
    const element = place({ symbols: "BTC,ETH" });
    client.symbol("ETH").set(state("live", { price: 3000 }));
    const [, eth] = tiles(element);
    const counts: number[] = [];
    const { listeners } = client.symbol("ETH");
    vi.spyOn(listeners, "delete").mockImplementation((listener) => {
      const had = Set.prototype.delete.call(listeners, listener);
      counts.push(listeners.size);
      return had;
    });
    element.setAttribute("symbols", "ETH,SOL");
    expect(client.followed).toEqual(["ETH", "SOL"]);
    expect(counts).toEqual([1]);
    expect(tiles(element)[0]).toBe(eth);
    expect(vi.getTimerCount()).toBe(1);
  });

  test("its gateway may change", () => {
    const element = place({ symbols: "BTC" });
    client.symbol("BTC").set(state("live", { price: 97000.1 }));
    element.setAttribute("gateway", `${GATEWAY}/`);
    expect([client.followed, elsewhere.followed]).toEqual([[], ["BTC"]]);
    expect(spoken(tiles(element)[0] as Element)).toBe("BTC – connecting");
    element.setAttribute("gateway", location.origin);
    expect([client.followed, elsewhere.followed]).toEqual([["BTC"], []]);
  });

  test("its attributes may be set before it is in a page", () => {
    const element = document.createElement("market-pulse");
    element.setAttribute("symbols", "BTC");
    expect(client.followed).toEqual([]);
  });
});

test.each([
  ["https://prices.example/market-pulse.js", "https://prices.example"],
  ["https://prices.example:8443/market-pulse.js?v=2", "https://prices.example:8443"],
  ["https://site.example/prices/market-pulse.js", "https://site.example/prices"],
  ["https://cdn.example/assets/index-4f2a.js", ""],
  ["https://cdn.example/?/market-pulse.js", ""],
  ["file:///market-pulse.js", ""],
  ["", ""],
])("a script from %s belongs to the gateway %s", (script, gateway) => {
  expect(gatewayOf(script)).toBe(gateway);
});

test("it connects to the gateway that served its script", async () => {
  vi.spyOn(document, "currentScript", "get").mockReturnValue(
    Object.assign(document.createElement("script"), { src: `${GATEWAY}/market-pulse.js` }),
  );
  vi.resetModules();
  const { MarketPulseElement } = await import("../src/element.ts");
  customElements.define("market-pulse-served", MarketPulseElement);
  document.body.append(document.createElement("market-pulse-served"));
  expect(elsewhere.followed).toHaveLength(4);
});

test("a second copy of the module leaves the first one's element alone", async () => {
  const first = customElements.get("market-pulse");
  vi.resetModules();
  await import("../src/element.ts");
  expect(customElements.get("market-pulse")).toBe(first);
});

test("on a server it can be imported", async () => {
  const names = ["HTMLElement", "customElements", "document"] as const;
  const kept = names.map((name) => [name, Object.getOwnPropertyDescriptor(globalThis, name)] as const);
  vi.resetModules();
  try {
    for (const name of names) Reflect.deleteProperty(globalThis, name);
    await expect(import("../src/element.ts")).resolves.toHaveProperty("MarketPulseElement");
  } finally {
    for (const [name, property] of kept) Object.defineProperty(globalThis, name, property ?? {});
  }
});
