// @vitest-environment node
import { gzipSync } from "node:zlib";
import { build } from "vite";
import { expect, test } from "vitest";

/** Return a module in the form that a page loads, with all that it needs but React. */
async function bundled(entry: string): Promise<string> {
  const built = await build({
    configFile: false,
    logLevel: "error",
    build: {
      write: false,
      target: "es2022",
      lib: { entry, formats: ["iife"], name: "bundle", cssFileName: "bundle" }, // Vite keeps the white space of ES modules
      rolldownOptions: { external: ["react"], output: { globals: { react: "React" } } },
    },
  });
  const outputs = [built].flat().flatMap((bundle) => ("output" in bundle ? bundle.output : []));
  return outputs.map((output) => ("code" in output ? output.code : "")).join("");
}

test.each([
  ["client and hooks", "src/useRealtimeTicker.ts", 6400],
  ["client and the hook for candles", "src/useCandles.ts", 8100],
  ["client and element", "src/element.ts", 12_000],
])("%s together are at most so large, gzipped; only the hook for candles has their code", async (_, entry, most) => {
  const code = await bundled(entry);
  expect(code).toContain("api/realtime"); // proves that the client is in the bundle
  expect(code.includes("api/candles")).toBe(entry.includes("andles"));
  expect(gzipSync(code).length).toBeLessThanOrEqual(most);
});
