/** The choice of the cards' order. */
import { SORTS, type Sort, sort } from "../settings.ts";
import { useValue } from "../value.ts";

const WORDS: Readonly<Record<Sort, string>> = { own: "Own order", change: "Change", name: "A–Z" };

export function SortChoice() {
  return (
    <label className="sort">
      <span className="label">Sort</span>{" "}
      <select value={useValue(sort)} onChange={(event) => sort.set(event.target.value as Sort)}>
        {SORTS.map((one) => (
          <option key={one} value={one}>
            {WORDS[one]}
          </option>
        ))}
      </select>
    </label>
  );
}
