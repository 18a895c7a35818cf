import { act, cleanup, fireEvent, render, screen } from "@testing-library/react";
import { afterEach, beforeEach, expect, test, vi } from "vitest";
import { pass } from "../fakes.ts";
import { FakeClient } from "./fakeClient.ts";

const LISTING = { featured: ["BTC-USDT"], symbols: [{ symbol: "BTC-USDT", exchanges: ["okx"] }] };
let answer: () => Promise<Response>;

beforeEach(() => {
  vi.useFakeTimers();
  vi.resetModules(); // what one test has learnt is not known to the next
  vi.stubGlobal("fetch", (url: string) => (url === "/api/symbols" ? answer() : Promise.reject(new TypeError("not here"))));
});

afterEach(() => {
  cleanup();
  vi.useRealTimers();
  vi.unstubAllGlobals();
});

const failing = () => Promise.reject(new TypeError("network error"));

async function search(text: string) {
  const { Search } = await import("../../src/page/controls/Search.tsx");
  render(<Search shown={[]} onChoose={() => {}} />);
  await act(() => pass(1));
  fireEvent.change(screen.getByRole("combobox"), { target: { value: text } });
}

const said = () => document.querySelector(".search-vain")?.textContent;

test.each([
  ["no network", failing],
  ["an error", async () => new Response("{}", { status: 500 })],
  ["something else", async () => Response.json({ hello: "world" })],
  ["no JSON", async () => new Response("<html>")],
])("%s says nothing of what is listed", async (_, response) => {
  answer = response;
  await search("xyz");
  expect(said()).toBe("The list of symbols is not known: the gateway does not answer. Trying again.");
  answer = async () => Response.json(LISTING);
  await act(() => pass(5100));
  expect(said()).toBe("No exchange lists “xyz”.");
});

test("a gateway that does not know yet has not said that nothing is listed", async () => {
  answer = async () => Response.json({ ...LISTING, symbols: [] });
  await search("btc");
  expect(said()).toBe("The list of symbols is not known yet.");
  answer = async () => Response.json(LISTING);
  await act(() => pass(5100));
  expect(screen.getByRole("option").textContent).toContain("BTC");
});

test("what was listed stays known while asking fails, and while a new gateway does not know yet", async () => {
  answer = async () => Response.json(LISTING);
  await search("btc");
  expect(screen.getByRole("option").textContent).toContain("BTC");
  answer = failing;
  await act(() => pass(61_000));
  expect(screen.getByRole("option").textContent).toContain("BTC");
  fireEvent.change(screen.getByRole("combobox"), { target: { value: "xyz" } });
  expect(said()).toMatch(/^No exchange listed “xyz” when the gateway last answered, before .*\d\d:\d\d:\d\d\.$/);
  answer = async () => Response.json({ ...LISTING, symbols: [] });
  await act(() => pass(6000));
  expect(said()).toBe("No exchange lists “xyz”.");
});

test("the bar does not count to zero where it is not known what to count", async () => {
  answer = failing;
  const { MarketPulseTicker } = await import("../../src/MarketPulseTicker.tsx");
  const { RealtimeContext } = await import("../../src/useRealtimeTicker.ts");
  render(
    <RealtimeContext value={new FakeClient()}>
      <MarketPulseTicker />
    </RealtimeContext>,
  );
  await act(() => pass(1));
  expect(document.body.textContent).toContain("The gateway does not answer");
  expect(document.body.textContent).not.toMatch(/0\/0/);
});
