/** Whether the palette is asked for. It is loaded when it is first needed. */
import { createAtom } from "../../lib/atom";

export const paletteOpened = createAtom(false);
export const openPalette = () => paletteOpened.set(true);
export const helpOpened = createAtom(false);
