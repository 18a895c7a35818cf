import { act, cleanup, render, screen } from "@testing-library/react";
import { afterEach, beforeEach, describe, expect, test, vi } from "vitest";
import { ConnectedCount } from "../../src/page/bar/ConnectedCount.tsx";
import { Tile } from "../../src/page/bar/Tile.tsx";
import { pausedAt } from "../../src/page/settings.ts";
import type { RealtimeError, Status } from "../../src/types.ts";
import { aged } from "../fakes.ts";
import { FakeClient, state } from "./fakeClient.ts";

let client: FakeClient;

beforeEach(() => {
  vi.useFakeTimers({ toFake: ["Date"] }); // so that ages stand still
  client = new FakeClient();
  vi.stubGlobal("fetch", () => Promise.reject(new TypeError("no network in this test")));
});

afterEach(() => {
  cleanup();
  act(() => pausedAt.set(null));
  vi.useRealTimers();
  vi.unstubAllGlobals();
});

function renderTile() {
  render(
    <ul>
      <Tile symbol="BTC-USDT" href="#BTC-USDT" target={undefined} isCompact={false} />
    </ul>,
    { wrapper: client.wrapper },
  );
  return screen.getByRole("listitem");
}

const CASES: [name: string, tell: () => ReturnType<typeof state>, mark: string, words: string][] = [
  ["live", () => state("BTC-USDT", "ok"), "live", "live"],
  ["one exchange only", () => state("BTC-USDT", "single"), "degraded", "one source"],
  ["exchanges disagree", () => state("BTC-USDT", "disputed"), "degraded", "disputed"],
  ["all are falling silent", () => state("BTC-USDT", "ok", aged(14_200)), "degraded", "14 s old"],
  ["stale", () => state("BTC-USDT", "stale", aged(61_000)), "stale", "1 min ago"],
  ["not renewed", () => state("BTC-USDT", "ok", aged(14_000), { status: "stale" }), "stale", "14 s ago"],
  ["stream away", () => state("BTC-USDT", "ok", aged(5000), { status: "reconnecting" }), "stale", "5 s ago"],
  ["down", () => state("BTC-USDT", "down", { price: null, receivedTime: null }), "offline", "no price"],
  ["no network", () => state("BTC-USDT", "ok", {}, { status: "offline" }), "offline", "offline"],
  [
    "unknown",
    () =>
      state(
        "BTC-USDT",
        "down",
        { price: null },
        { latest: null, status: "offline", error: { code: "unknown_symbol", message: "nobody lists it" } },
      ),
    "offline",
    "not listed",
  ],
  ["no room yet", () => refused("no_room", null), "waiting", "no room"],
  ["room lost", () => refused("no_room", "ok"), "stale", "no room"],
  ["streams are limited", () => refused("rate_limited", null, "connecting"), "waiting", "too many"],
  ["streams are limited, an old price is known", () => refused("rate_limited", "ok", "reconnecting"), "stale", "5 s ago"],
  ["busy", () => refused("busy", null, "reconnecting"), "waiting", "busy"],
  ["no key", () => refused("unauthorized", null, "offline"), "offline", "no key"],
  ["too many symbols", () => refused("too_many_symbols", null, "offline"), "offline", "too many"],
  ["a moment ago", () => state("BTC-USDT", "ok", aged(300), { status: "reconnecting" }), "stale", "just now"],
  ["silent for just as long as counts in full", () => state("BTC-USDT", "ok", aged(10_000)), "live", "live"],
  ["silent for a little longer", () => state("BTC-USDT", "ok", aged(10_001)), "degraded", "10 s old"],
];

/** Return the state of a symbol that a reachable gateway refuses, with an old price (`quality`) or without one (null). */
function refused(code: RealtimeError["code"], quality: "ok" | null, status: Status = "stale") {
  const error = { code, message: "okx is full" };
  if (quality) return state("BTC-USDT", quality, aged(5000), { status, error });
  return state("BTC-USDT", "down", { price: null }, { latest: null, status, error });
}

describe("a tile", () => {
  test.each(CASES)("%s: has a mark and words of its own", (_, tell, mark, words) => {
    const tile = renderTile();
    client.say("BTC-USDT", tell());
    expect(tile.querySelector(".state-mark")?.getAttribute("data-state")).toBe(mark);
    expect(tile.querySelector(".tile-state")?.textContent).toBe(words);
  });

  test("a symbol without room says so in a sentence, with the age of its price", () => {
    const tile = renderTile();
    client.say("BTC-USDT", refused("no_room", "ok"));
    expect(tile.querySelector(".tile-state")?.getAttribute("title")).toBe("Okx is full. Last confirmed 5 s ago.");
    client.say("BTC-USDT", state("BTC-USDT", "ok", aged(10), { status: "reconnecting" }));
    expect(tile.querySelector(".tile-state")?.getAttribute("title")).toBe(
      "The stream is interrupted. Last confirmed just now.",
    );
  });

  test("every mark has a shape of its own", () => {
    const shapes = CASES.map(([, tell, mark]) => {
      const tile = renderTile();
      client.say("BTC-USDT", tell());
      const shape = tile.querySelector(".state-mark")?.innerHTML;
      cleanup();
      return [mark, shape] as const;
    });
    expect(new Set(shapes.map(([, shape]) => shape)).size).toBe(new Set(shapes.map(([mark]) => mark)).size);
  });

  test("waits in words until the first price comes", () => {
    expect(renderTile().querySelector(".tile-state")?.textContent).toBe("waiting");
  });

  test("keeps the last price, drawn as an old one, when there is no price any more", () => {
    const tile = renderTile();
    client.say("BTC-USDT", state("BTC-USDT", "ok", { price: 63_000 }));
    expect(tile.querySelector(".price")?.hasAttribute("data-old")).toBe(false);
    client.say("BTC-USDT", state("BTC-USDT", "down", { price: null }));
    expect(tile.querySelector(".price")?.getAttribute("title")).toBe("63,000.00");
    expect(tile.querySelector(".price")?.hasAttribute("data-old")).toBe(true);
    expect(tile.querySelector(".change")?.getAttribute("data-direction")).toBe("flat");
  });

  test("paused, it stays as it was and does not look live", () => {
    const tile = renderTile();
    client.say("BTC-USDT", state("BTC-USDT", "ok", { price: 63_000 }));
    act(() => pausedAt.set(Date.now()));
    client.say("BTC-USDT", state("BTC-USDT", "ok", { price: 64_000 }));
    expect(tile.querySelector(".price")?.getAttribute("title")).toBe("63,000.00");
    expect(tile.querySelector(".state-mark")?.getAttribute("data-state")).toBe("paused");
    expect(tile.querySelector(".tile-state")?.textContent).toBe("paused");
    act(() => pausedAt.set(null));
    expect(tile.querySelector(".price")?.getAttribute("title")).toBe("64,000.00");
  });
});

describe("the count of connected symbols", () => {
  const SYMBOLS = ["BTC-USDT", "ETH-USDT", "SOL-USDT", "BNB-USDT"];
  const button = () => screen.getByRole("button");

  test("does not count a price whose exchanges have all been silent for a while", () => {
    render(<ConnectedCount symbols={["BTC-USDT"]} />, { wrapper: client.wrapper });
    client.say("BTC-USDT", state("BTC-USDT", "ok", aged(14_000)));
    expect(button().textContent).toBe("Real-time · 0/1 connected");
  });

  test("counts fresh and undisputed prices, not sockets", () => {
    render(<ConnectedCount symbols={SYMBOLS} />, { wrapper: client.wrapper });
    expect(button().textContent).toBe("Real-time · 0/4 connected");
    client.say("BTC-USDT", state("BTC-USDT", "ok"));
    client.say("ETH-USDT", state("ETH-USDT", "single"));
    client.say("SOL-USDT", state("SOL-USDT", "disputed"));
    client.say("BNB-USDT", state("BNB-USDT", "ok", {}, { status: "stale" }));
    expect(button().textContent).toBe("Real-time · 2/4 connected");
  });

  test("names each symbol with the reason, and since when if it is not live", () => {
    render(<ConnectedCount symbols={["BTC-USDT", "ETH-USDT"]} />, { wrapper: client.wrapper });
    client.say("BTC-USDT", state("BTC-USDT", "ok"));
    client.say("ETH-USDT", state("ETH-USDT", "stale", aged(90_000)));
    const [btc, eth] = [...document.querySelectorAll(".standings li")].map((line) => line.textContent);
    expect(btc).toBe("BTC 2 exchanges agree. ");
    expect(eth).toMatch(/^ETH No exchange confirms this price\. since \d\d:\d\d:\d\d \(1 min\)$/);
  });

  test("says that the stream is interrupted only when the client does", () => {
    render(<ConnectedCount symbols={[]} />, { wrapper: client.wrapper });
    act(() => client.connection.set({ status: "reconnecting", exchanges: {}, simulated: false }));
    expect(button().textContent).toBe("Reconnecting · 0/0 connected");
  });

  test("does not say real-time while paused", () => {
    render(<ConnectedCount symbols={SYMBOLS} />, { wrapper: client.wrapper });
    act(() => pausedAt.set(Date.now()));
    expect(button().textContent).toMatch(/^Paused at \d\d:\d\d:\d\d$/);
  });
});
