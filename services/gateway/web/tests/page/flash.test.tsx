import { act, cleanup, render } from "@testing-library/react";
import { afterEach, beforeEach, expect, test, vi } from "vitest";
import { Price } from "../../src/page/parts/Price.tsx";
import { pausedAt } from "../../src/page/settings.ts";

beforeEach(() => {
  vi.useFakeTimers();
});

afterEach(() => {
  cleanup();
  act(() => pausedAt.set(null));
  vi.useRealTimers();
});

function renderPrice(price: number) {
  const { container, rerender } = render(<Price price={price} dp={2} quote="USDT" />);
  return {
    show: (next: number | null, isOld = false) => rerender(<Price price={next} dp={2} quote="USDT" isOld={isOld} />),
    lit: () => container.querySelector(".flash")?.textContent ?? null,
    direction: () => container.querySelector(".flash")?.getAttribute("data-direction"),
    text: () => container.querySelector("[aria-hidden]")?.textContent,
  };
}

const pass = (ms: number) => act(() => vi.advanceTimersByTime(ms));

test("only the digits from the first changed one on light up, for a moment", () => {
  const price = renderPrice(63_411.74);
  expect(price.lit()).toBeNull();
  price.show(63_415.2);
  expect(price.text()).toBe("63,415.20");
  expect([price.lit(), price.direction()]).toEqual(["5.20", "up"]);
  pass(300);
  expect(price.lit()).toBeNull();
  expect(price.text()).toBe("63,415.20");
});

test("the next price ends it, but not at once", () => {
  const price = renderPrice(100);
  price.show(101);
  pass(100);
  price.show(102);
  expect(price.lit()).toBe("2.00");
  pass(150);
  price.show(103);
  expect(price.lit()).toBeNull();
});

test("they light up at most twice a second", () => {
  const price = renderPrice(100);
  let flashes = 0;
  for (let ms = 0; ms < 3000; ms += 20) {
    const before = price.lit();
    price.show(100 + ms / 1000 + 0.01);
    if (before === null && price.lit() !== null) flashes += 1;
    pass(20);
  }
  expect(flashes).toBe(6);
});

test("pausing ends it at once", () => {
  const price = renderPrice(100);
  price.show(99);
  expect([price.lit(), price.direction()]).toEqual(["99.00", "down"]);
  act(() => pausedAt.set(1));
  expect(price.lit()).toBeNull();
});

test.each([
  ["that follows no price", null, 100, false],
  ["that is an old one", 100, 101, true],
  ["that is the same", 100, 100, false],
])("a price %s does not light up", (_, before, after, isOld) => {
  const price = renderPrice(100);
  price.show(before);
  pass(1000);
  price.show(after, isOld);
  expect(price.lit()).toBeNull();
});

test("a price with many zeros is drawn short, and read out with every zero", () => {
  const { container } = render(<Price price={0.00000123} dp={12} quote="USDT" />);
  expect(container.querySelector("sub")?.textContent).toBe("5");
  expect(container.querySelector(".visually-hidden")?.textContent).toBe("0.000001230");
});
