/** The text that the page's live region holds, for screen readers to read aloud. */
import { createValue } from "./value.ts";

export const announcement = createValue("");
