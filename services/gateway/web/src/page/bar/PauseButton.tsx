/** Stops everything on the page that changes by itself (WCAG 2.2.2), and lets it go on. */
import { pausedAt } from "../settings.ts";
import { useValue } from "../value.ts";

export function PauseButton() {
  const isPaused = useValue(pausedAt) !== null;
  return (
    <button
      type="button"
      className="button"
      aria-pressed={isPaused}
      title="Freeze the prices on this page"
      onClick={() => pausedAt.set(isPaused ? null : Date.now())}
    >
      Pause
    </button>
  );
}
