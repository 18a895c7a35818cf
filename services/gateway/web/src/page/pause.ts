/** While updates are paused, the page receives nothing, and shows everything as it was at the pause. */
import type { RealtimeClient, Store } from "../types.ts";
import { pausedAt } from "./settings.ts";
import { withStores } from "./withStores.ts";

interface Pausable {
  /** Keep the snapshot of now, if the store has a listener. */
  hold(): void;
  /** End the subscription to the client. */
  rest(): void;
  /** Subscribe again, and show the newest state. */
  resume(): void;
}

/** Return a client whose stores, that of the connection included, stand still while updates are paused. */
export function pausable(client: RealtimeClient): RealtimeClient {
  const stores: Pausable[] = [];

  pausedAt.subscribe(() => {
    if (pausedAt.get() === null) {
      for (const store of stores) store.resume();
      return;
    }
    for (const store of stores) store.hold();
    for (const store of stores) store.rest(); // after all hold: without listeners the client's states become idle
  });

  function makeStore<T>({ subscribe, getSnapshot, getServerSnapshot }: Store<T>): Store<T> {
    const listeners = new Set<() => void>();
    let held: { readonly value: T } | null = null;
    let end = () => {};
    const tell = () => {
      for (const listener of listeners) listener();
    };
    function follow() {
      if (listeners.size && pausedAt.get() === null) end = subscribe(tell);
    }
    stores.push({
      hold() {
        if (listeners.size) held = { value: getSnapshot() };
      },
      rest: () => end(),
      resume() {
        held = null;
        follow();
        tell();
      },
    });
    return {
      subscribe(listener) {
        const own = () => listener(); // a new function each time, because the same listener may subscribe twice
        listeners.add(own);
        if (listeners.size === 1) follow();
        return () => {
          if (listeners.delete(own) && !listeners.size) end();
        };
      },
      getSnapshot: () => (held ? held.value : getSnapshot()),
      getServerSnapshot,
    };
  }

  return { ...withStores(client, makeStore), connection: makeStore(client.connection) };
}
