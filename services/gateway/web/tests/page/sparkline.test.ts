import { describe, expect, test } from "vitest";
import { extend, linePath, type Point, SPAN_MS, STEP_MS } from "../../src/page/bar/sparkline.ts";

describe("a sparkline", () => {
  const at = (step: number, price: number): Point => ({ time: step * STEP_MS, price });

  test("has one point per step: the newest price", () => {
    const points = extend(extend([at(1, 10)], 1.5 * STEP_MS, 11), 2.1 * STEP_MS, 12);
    expect(points).toEqual([at(1, 11), at(2, 12)]);
  });

  test("never holds more than its span", () => {
    let points: readonly Point[] = [];
    for (let time = 0; time < 5 * SPAN_MS; time += 1000) points = extend(points, time, time);
    expect(points).toHaveLength(SPAN_MS / STEP_MS);
  });

  test("ignores prices older than its newest point, and values that are not numbers", () => {
    const points = [at(5, 10)];
    expect(extend(points, 4 * STEP_MS, 11)).toBe(points);
    expect(extend(points, 6 * STEP_MS, Number.NaN)).toBe(points);
  });

  test.each([
    ["rising", [at(58, 1), at(59, 2), at(60, 3)], "M96.7 10.0L98.3 5.0L100.0 0.0"],
    ["flat: in the middle", [at(59, 2), at(60, 2)], "M98.3 5.0L100.0 5.0"],
    ["with a gap", [at(50, 1), at(60, 2)], "M83.3 10.0M100.0 0.0"],
    ["of nothing", [], ""],
  ])("%s", (_, points, path) => {
    expect(linePath(points, 100, 10)).toBe(path);
  });
});
