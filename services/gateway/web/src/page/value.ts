/** Values that components share: when one component sets a value, all that use it re-render. Some outlast a visit. */
import { useSyncExternalStore } from "react";

export interface Value<T> {
  readonly get: () => T;
  readonly set: (next: T) => void;
  readonly subscribe: (listener: () => void) => () => void;
}

export function createValue<T>(initial: T): Value<T> {
  let current = initial;
  const listeners = new Set<() => void>();
  return {
    get: () => current,
    set(next) {
      if (Object.is(next, current)) return;
      current = next;
      for (const listener of listeners) listener();
    },
    subscribe(listener) {
      listeners.add(listener);
      return () => listeners.delete(listener);
    },
  };
}

/** Return a value that is one of `choices`: the one chosen on an earlier visit, else the first. Changes are remembered. */
export function rememberedChoice<T extends string>(key: string, choices: readonly [T, ...T[]]): Value<T> {
  const known = recall(key);
  const value = createValue<T>(choices.find((choice) => choice === known) ?? choices[0]);
  value.subscribe(() => remember(key, value.get()));
  return value;
}

export function useValue<T>({ subscribe, get }: Value<T>): T {
  return useSyncExternalStore(subscribe, get, get);
}

/** Return the text remembered under a key, or null if there is no such text or the browser forbids storage. */
export function recall(key: string): string | null {
  try {
    return localStorage.getItem(`market-pulse.${key}`);
  } catch {
    return null;
  }
}

/** Remember a text under a key, or forget it for null. If storage is full or forbidden, do nothing. */
export function remember(key: string, text: string | null) {
  try {
    if (text === null) localStorage.removeItem(`market-pulse.${key}`);
    else localStorage.setItem(`market-pulse.${key}`, text);
  } catch {
    // The choice still holds for this visit.
  }
}
