import { act, cleanup, fireEvent, render, screen } from "@testing-library/react";
import { afterEach, beforeEach, expect, test, vi } from "vitest";
import { Search } from "../../src/page/controls/Search.tsx";

const chosen = vi.fn();

beforeEach(async () => {
  const symbols = ["BTC-USDT", "DOGE-USDT", "DOT-USDT"].map((symbol) => ({ symbol, exchanges: ["okx"] }));
  vi.stubGlobal("fetch", () => Promise.resolve(Response.json({ featured: ["BTC-USDT"], quote: "USDT", symbols })));
  await act(async () => {
    render(<Search shown={["BTC-USDT"]} quote="USDT" onChoose={chosen} />);
  });
});

afterEach(() => {
  cleanup();
  chosen.mockReset();
  vi.unstubAllGlobals();
});

const field = () => screen.getByRole<HTMLInputElement>("combobox");
const type = (value: string) => fireEvent.change(field(), { target: { value } });
const press = (key: string) => fireEvent.keyDown(field(), { key });
const active = () => document.getElementById(field().getAttribute("aria-activedescendant") ?? "")?.textContent;

test("the list is closed until the text matches a listed symbol", () => {
  expect(field().getAttribute("aria-expanded")).toBe("false");
  type("do");
  expect(field().getAttribute("aria-expanded")).toBe("true");
  expect(screen.getAllByRole("option").map((option) => option.textContent)).toEqual([
    "DOT/USDT PolkadotOKX",
    "DOGE/USDT DogecoinOKX",
  ]);
});

test("the arrow keys wrap around, Enter chooses", () => {
  type("do");
  expect(active()).toMatch(/^DOT/);
  press("ArrowDown");
  expect(active()).toMatch(/^DOGE/);
  press("ArrowDown");
  expect(active()).toMatch(/^DOT/);
  press("ArrowUp");
  press("Enter");
  expect(chosen).toHaveBeenCalledExactlyOnceWith("DOGE-USDT");
  expect(field().value).toBe("");
});

test("Escape first closes the list, then clears the text", () => {
  type("do");
  press("Escape");
  expect([field().getAttribute("aria-expanded"), field().value]).toEqual(["false", "do"]);
  press("Escape");
  expect(field().value).toBe("");
});

test("a click chooses", () => {
  type("bitcoin");
  fireEvent.click(screen.getByRole("option"));
  expect(chosen).toHaveBeenCalledExactlyOnceWith("BTC-USDT");
});

test("a text without a match is called unlisted, and Enter does nothing", () => {
  type("xyz");
  press("Enter");
  expect(chosen).not.toHaveBeenCalled();
  expect(screen.getByText("No exchange lists “xyz”.")).toBeTruthy();
});
