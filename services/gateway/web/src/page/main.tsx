/** Renders the page at `/`. */
import { mount } from "./mount.tsx";
import { Page } from "./Page.tsx";

mount(<Page />);
