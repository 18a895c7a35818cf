import { act, cleanup, render, screen } from "@testing-library/react";
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

describe("the exchanges", () => {
  test("are not known, rather than none, until they are told of", () => {
    const client = new FakeClient();
    client.connection.set({ status: "connecting", exchanges: {}, simulated: false });
    render(<ExchangeStrip symbols={[]} />, { wrapper: client.wrapper });
    expect(screen.getByRole("listitem").textContent).toBe("Exchanges: not known");
  });

  test("are as they were, and said to be, while the stream is away and until a new one tells of them", () => {
    const client = new FakeClient();
    const exchanges = { okx: feed("okx") };
    client.connection.set({ status: "live", exchanges, simulated: false });
    render(<ExchangeStrip symbols={[]} />, { wrapper: client.wrapper });
    expect(screen.getByRole("listitem").textContent).not.toContain("was");
    act(() => client.connection.set({ status: "reconnecting", exchanges, simulated: false }));
    expect(screen.getByRole("listitem").textContent).toContain("was connected");
    act(() => client.connection.set({ status: "live", exchanges, simulated: false }));
    expect(screen.getByRole("listitem").textContent).toContain("was connected");
    act(() => client.connection.set({ status: "live", exchanges: { ...exchanges }, simulated: false }));
    expect(screen.getByRole("listitem").textContent).not.toContain("was");
  });
});
