/** Requests from the gateway again and again what a stream does not carry. */

const ANSWER_WITHIN_MS = 10_000;

/**
 * Request a URL's JSON, and again `everyMs` after each answer, until the returned function is called. Answers that are no
 * success are skipped. While the page is hidden, nothing is requested.
 */
export function poll(url: () => string, everyMs: number, read: (answer: unknown) => void): () => void {
  const end = new AbortController();
  let timer: ReturnType<typeof setTimeout> | undefined;
  async function ask() {
    try {
      if (!document.hidden) {
        const signal = AbortSignal.any([end.signal, AbortSignal.timeout(ANSWER_WITHIN_MS)]);
        const response = await fetch(url(), { cache: "no-store", signal });
        if (response.ok) read(await response.json());
      }
    } catch {
      // The next request may succeed. The stream reports that the gateway is away.
    }
    if (!end.signal.aborted) timer = setTimeout(ask, everyMs);
  }
  void ask();
  return () => {
    end.abort();
    clearTimeout(timer);
  };
}
