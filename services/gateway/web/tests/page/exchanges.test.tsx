import { cleanup, render, screen } from "@testing-library/react";
import { afterEach, describe, expect, test } from "vitest";
import { ExchangeStrip } from "../../src/page/exchanges/ExchangeStrip.tsx";
import type { FeedStatus } from "../../src/types.ts";
import { FakeClient, feed } from "./fakeClient.ts";

afterEach(cleanup);

function shown(okx: FeedStatus): HTMLElement {
  const client = new FakeClient();
  client.connection.set({ status: "live", exchanges: { okx }, simulated: false });
  render(<ExchangeStrip symbols={[]} />, { wrapper: client.wrapper });
  return screen.getByRole("listitem");
}

const OTHER = { instance: "b", state: "connected", reason: null, since: 1 } as const;
const LOST = { ...OTHER, state: "reconnecting", reason: "closed by the exchange: 1006" } as const;

describe("an exchange", () => {
  test("that one copy reads is not counted", () => {
    expect(shown(feed("okx")).textContent).not.toContain("×");
  });

  test("that several copies read says how many", () => {
    const text = shown(feed("okx", { instances: 2, others: [OTHER] })).textContent;
    expect(text).toContain("OKX ×2");
    expect(text).not.toContain("trouble");
  });

  test("that is connected says what is the matter with another copy", () => {
    const text = shown(feed("okx", { instances: 3, others: [OTHER, LOST] })).textContent;
    expect(text).toContain("connected");
    expect(text).toContain("1 copy in trouble");
    expect(text).toContain("reconnecting");
    expect(text).toContain("closed by the exchange: 1006");
  });
});
