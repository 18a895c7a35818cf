/** Stops and resumes everything on the page that changes by itself (WCAG 2.2.2). */
import "./PauseButton.css";
import { pausedAt } from "../settings.ts";
import { useValue } from "../value.ts";

export function PauseButton() {
  const isPaused = useValue(pausedAt) !== null;
  return (
    <button
      type="button"
      className="button pause"
      aria-pressed={isPaused}
      title="Freeze the prices on this page"
      onClick={() => pausedAt.set(isPaused ? null : Date.now())}
    >
      <svg viewBox="0 0 10 10" aria-hidden="true">
        <path d="M3 1v8M7 1v8" />
      </svg>
      <span>Pause</span>
    </button>
  );
}
