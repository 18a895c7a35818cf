/**
 * Makes the charts and the page's text show a price in the same frame. A chart draws in the frame after it receives a price.
 * So charts receive each price at once, and the text's listeners are called in the next frame.
 */
import type { RealtimeClient, Store } from "../types.ts";
import { withStores } from "./withStores.ts";

const FRAMELESS_MS = 250; // hidden pages have no frames: listeners are called after this delay

interface FramedStore<T> extends Store<T> {
  /** Like `subscribe`, but calls the listener at once instead of in the next frame. */
  readonly ahead: Store<T>["subscribe"];
}

/** Return the function that subscribes to a store ahead of the frame that shows its changes. */
export function ahead<T>(store: Store<T>): Store<T>["subscribe"] {
  return "ahead" in store ? (store as FramedStore<T>).ahead : store.subscribe;
}

/** Return a client whose stores call their listeners in the frame after a change. */
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

  function makeStore<T>({ subscribe, getSnapshot, getServerSnapshot }: Store<T>): FramedStore<T> {
    return {
      subscribe(listener) {
        const own = () => listener(); // a new function each time, because the same listener may subscribe twice
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
