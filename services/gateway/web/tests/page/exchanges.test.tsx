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
  test("that one copy reads shows no number of copies", () => {
    expect(shown(feed("okx")).textContent).not.toContain("×");
  });

  test("that several copies read shows their number", () => {
    const text = shown(feed("okx", { instances: 2, others: [OTHER] })).textContent;
    expect(text).toContain("OKX ×2");
    expect(text).not.toContain("trouble");
  });

  test("that is connected explains what is wrong with another copy", () => {
    const text = shown(feed("okx", { instances: 3, others: [OTHER, LOST] })).textContent;
    expect(text).toContain("connected");
    expect(text).toContain("1 copy in trouble");
    expect(text).toContain("reconnecting");
    expect(text).toContain("closed by the exchange: 1006");
  });
});

describe("the exchanges", () => {
  test("are called not known, instead of an empty list, until the gateway reports one", () => {
    const client = new FakeClient();
    client.connection.set({ status: "connecting", exchanges: {}, simulated: false });
    render(<ExchangeStrip symbols={[]} />, { wrapper: client.wrapper });
    expect(screen.getByRole("listitem").textContent).toBe("Exchanges: not known");
  });

  test("keep their last state, and are marked so, from the stream's loss until a new stream reports them", () => {
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
