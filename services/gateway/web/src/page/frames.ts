/**
 * One price, one moment: a chart's canvas and the page's text change in the same frame. A chart draws in the frame after it is
 * told. So a chart is told first, and the text changes in that frame.
 */
import type { RealtimeClient, Store, SymbolState } from "../types.ts";
import { withStores } from "./withStores.ts";

const FRAMELESS_MS = 250; // a hidden page has no frames

interface FramedStore extends Store<SymbolState> {
  /** As `subscribe`, but told as soon as there is news. */
  readonly ahead: Store<SymbolState>["subscribe"];
}

/** Return how to hear of a symbol's news ahead of the frame that shows it. */
export function ahead(store: Store<SymbolState>): Store<SymbolState>["subscribe"] {
  return "ahead" in store ? (store as FramedStore).ahead : store.subscribe;
}

/** Return a client that tells of changes in the next frame. */
export function framed(client: RealtimeClient): RealtimeClient {
  const due = new Set<() => void>();
  let frame = 0;
  let frameless: ReturnType<typeof setTimeout>;

  function show() {
    cancelAnimationFrame(frame);
    clearTimeout(frameless);
    const shown = [...due];
    due.clear();
    for (const tell of shown) tell();
  }

  function showSoon(tell: () => void) {
    if (!due.size) {
      frame = requestAnimationFrame(show);
      frameless = setTimeout(show, FRAMELESS_MS);
    }
    due.add(tell);
  }

  function makeStore({ subscribe, getSnapshot, getServerSnapshot }: Store<SymbolState>): FramedStore {
    return {
      subscribe(listener) {
        const own = () => listener(); // the same function may be handed in twice
        const end = subscribe(() => showSoon(own));
        return () => {
          due.delete(own);
          end();
        };
      },
      ahead: subscribe,
      getSnapshot,
      getServerSnapshot,
    };
  }

  return withStores(client, makeStore);
}
