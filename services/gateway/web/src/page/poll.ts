/** Requests from the gateway again and again what a stream does not carry. */

const ANSWER_WITHIN_MS = 10_000;
const HIDDEN_TIMES = 10; // a page that says that it is hidden may still be seen, so it goes on, only so much more rarely

/**
 * Request a URL, and again `everyMs` after each answer, until the returned function is called. `read` gets the JSON of every
 * answer, so of an error's problem, too. If it throws, the answer counts as none. While the URL is null, nothing is requested.
 */
export function poll(url: () => string | null, everyMs: number, read: (answer: unknown) => void): () => void {
  const end = new AbortController();
  let timer: ReturnType<typeof setTimeout> | undefined; // undefined while an answer is awaited
  async function ask() {
    timer = undefined;
    try {
      const next = url();
      if (next) {
        const signal = AbortSignal.any([end.signal, AbortSignal.timeout(ANSWER_WITHIN_MS)]);
        const response = await fetch(next, { cache: "no-store", signal });
        read(await response.json());
      }
    } catch {
      // The next request may succeed. The stream reports that the gateway is away.
    }
    if (!end.signal.aborted) timer = setTimeout(ask, document.hidden ? HIDDEN_TIMES * everyMs : everyMs);
  }
  function look() {
    if (document.hidden || !timer) return;
    clearTimeout(timer);
    void ask();
  }
  void ask();
  document.addEventListener("visibilitychange", look);
  return () => {
    end.abort();
    document.removeEventListener("visibilitychange", look);
    clearTimeout(timer);
  };
}
