import { describe, expect, test } from "vitest";
import { sorted } from "../../src/page/sorting.ts";

describe("order", () => {
  const changes: Record<string, number> = { B: 1, A: 2, C: Number.NaN, D: -3 };

  test.each([
    ["own", ["C", "B", "D", "A"]],
    ["name", ["A", "B", "C", "D"]],
    ["change", ["A", "B", "D", "C"]],
  ] as const)("by %s", (by, expected) => {
    expect(sorted(["C", "B", "D", "A"], by, (symbol) => changes[symbol] ?? Number.NaN)).toEqual(expected);
  });
});
