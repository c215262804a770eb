/** Whether the palette is asked for, and what was typed into it. It is loaded when it is first needed: keys do not wait for that. */
import { createAtom } from "../../lib/atom";

export const paletteOpened = createAtom(false);
export const paletteText = createAtom("");
/** The text at which Enter was pressed while there was nothing to choose from: the first that comes is meant. */
export const paletteOwed = createAtom(/** @type {string | null} */ (null));
export const helpOpened = createAtom(false);

export function openPalette() {
  if (paletteOpened.get()) return;
  paletteText.set("");
  paletteOwed.set(null);
  paletteOpened.set(true);
}

export const closePalette = () => paletteOpened.set(false);

/** A key that came before there was a field to type into. @param {KeyboardEvent} event */
export function typeAhead(event) {
  const { key } = event;
  if (key === "Escape") closePalette();
  else if (key === "Enter") paletteOwed.set(paletteText.get());
  else if (key === "Backspace") paletteText.set((text) => text.slice(0, -1));
  else if (key.length === 1) paletteText.set((text) => text + key);
  else return;
  event.preventDefault();
  event.stopPropagation();
}
