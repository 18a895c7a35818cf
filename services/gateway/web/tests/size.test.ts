// @vitest-environment node
import { gzipSync } from "node:zlib";
import { build } from "vite";
import { expect, test } from "vitest";

test("client and hooks together are at most 5,850 bytes gzipped", async () => {
  const built = await build({
    configFile: false,
    logLevel: "error",
    build: {
      write: false,
      target: "es2022",
      lib: { entry: "src/useRealtimeTicker.ts", formats: ["iife"], name: "hooks" }, // Vite keeps the white space of ES modules
      rolldownOptions: { external: ["react"], output: { globals: { react: "React" } } },
    },
  });
  const outputs = [built].flat().flatMap((bundle) => ("output" in bundle ? bundle.output : []));
  const code = outputs.map((output) => ("code" in output ? output.code : "")).join("");
  expect(code).toContain("api/realtime"); // proves that the client is in the bundle
  expect(gzipSync(code).length).toBeLessThanOrEqual(5850);
});
