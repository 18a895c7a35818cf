/** Limits how often prices change on the page: more changes a second than eyes can follow would only drain the battery. */
import type { RealtimeClient, Store, SymbolState } from "../types.ts";
import { withStores } from "./withStores.ts";

/** Return a client that reports changes at most once in `everyMs`, of all symbols together, always with the newest state. */
export function paced(client: RealtimeClient, everyMs: number): RealtimeClient {
  const changed = new Set<() => void>();
  let toldAt = Number.NEGATIVE_INFINITY;
  let timer: ReturnType<typeof setTimeout> | undefined;

  function tell() {
    timer = undefined;
    toldAt = performance.now();
    const due = [...changed];
    changed.clear();
    for (const show of due) show();
  }

  function tellOf(show: () => void) {
    changed.add(show);
    if (timer === undefined) timer = setTimeout(tell, Math.max(0, toldAt + everyMs - performance.now()));
  }

  function makeStore({ subscribe, getSnapshot, getServerSnapshot }: Store<SymbolState>): Store<SymbolState> {
    const listeners = new Set<() => void>();
    let shown: SymbolState | null = null; // the state last reported; null without a listener
    let end = () => {};
    const show = () => {
      if (!shown) return;
      shown = getSnapshot();
      for (const listener of listeners) listener();
    };
    return {
      subscribe(listener) {
        const own = () => listener();
        listeners.add(own);
        if (listeners.size === 1) {
          end = subscribe(() => tellOf(show));
          shown = getSnapshot();
        }
        return () => {
          if (!listeners.delete(own) || listeners.size) return;
          end();
          shown = null;
        };
      },
      getSnapshot: () => shown ?? getSnapshot(),
      getServerSnapshot,
    };
  }

  return withStores(client, makeStore);
}
