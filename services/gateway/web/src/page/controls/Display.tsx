/** The visitor's choices of theme, colours and announcements. */
import { Popover } from "../parts/Popover.tsx";
import { announcing, SCHEMES, type Scheme, scheme, THEMES, type Theme, theme } from "../settings.ts";
import { useValue, type Value } from "../value.ts";
import "./Display.css";

const THEME_WORDS: Readonly<Record<Theme, string>> = { system: "As the system", light: "Light", dark: "Dark" };
const SCHEME_WORDS: Readonly<Record<Scheme, string>> = {
  western: "Green up, red down",
  "east-asian": "Red up, green down",
  cvd: "Blue up, orange down",
};

export function Display() {
  const isAnnouncing = useValue(announcing);
  return (
    <Popover label="Display">
      <div className="display">
        <Choice name="Theme" value={theme} choices={THEMES} words={THEME_WORDS} />
        <Choice name="Colours" value={scheme} choices={SCHEMES} words={SCHEME_WORDS} />
        <button type="button" className="button" aria-pressed={isAnnouncing} onClick={() => announcing.set(!isAnnouncing)}>
          Announce prices
        </button>
        <p className="label">Lets screen readers read the bar's prices aloud every 15 seconds.</p>
      </div>
    </Popover>
  );
}

interface ChoiceProps<T extends string> {
  readonly name: string;
  readonly value: Value<T>;
  readonly choices: readonly T[];
  readonly words: Readonly<Record<T, string>>;
}

function Choice<T extends string>({ name, value, choices, words }: ChoiceProps<T>) {
  const chosen = useValue(value);
  return (
    <fieldset>
      <legend className="label">{name}</legend>
      {choices.map((choice) => (
        <label key={choice}>
          <input type="radio" name={name} checked={choice === chosen} onChange={() => value.set(choice)} /> {words[choice]}
        </label>
      ))}
    </fieldset>
  );
}
