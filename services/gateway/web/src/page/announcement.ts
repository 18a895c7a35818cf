/** What a screen reader is told next. */
import { createValue } from "./value.ts";

export const announcement = createValue("");
