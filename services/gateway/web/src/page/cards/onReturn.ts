/** Call `back` whenever the page is seen again after it was hidden for at least `hiddenMs`, until the returned function is called. */
export function onReturn(hiddenMs: number, back: () => void): () => void {
  let hiddenAt = Date.now(); // by the same clock as the prices' arrival
  function look() {
    if (document.hidden) hiddenAt = Date.now();
    else if (Date.now() - hiddenAt >= hiddenMs) back();
  }
  document.addEventListener("visibilitychange", look);
  return () => document.removeEventListener("visibilitychange", look);
}
