/** Says for how long the page was hidden, beside the tiles that show what moved meanwhile. The visitor can dismiss both. */
import { formatAge } from "../../format.ts";
import { useValue } from "../value.ts";
import { away } from "./away.ts";

export function AwayNote() {
  const absence = useValue(away);
  if (!absence) return null;
  return (
    <span className="away-note">
      Away {formatAge(absence.awayMs)}{" "}
      <button type="button" className="plain-button" onClick={() => away.set(null)}>
        Dismiss
      </button>
    </span>
  );
}
