/** Ctrl-K, everywhere, also while typing; the palette itself is loaded at its first use. */
import { Suspense, useEffect } from "react";
import { piece } from "../../components/Piece";
import { useAtom } from "../../lib/atom";
import { closePalette, openPalette, paletteOpened, typeAhead } from "./paletteState";

const Palette = piece(() => import("./Palette"), { what: "The search", over: true });

/** @param {EventTarget | null} target */
const inDialog = (target) => target instanceof Element && target.closest('[role="dialog"]') !== null;

export function PaletteHost() {
  const opened = useAtom(paletteOpened);

  useEffect(() => {
    /** @param {KeyboardEvent} event */
    function onKey(event) {
      if (event.ctrlKey || event.metaKey || event.altKey) {
        if (event.key.toLowerCase() !== "k" || event.shiftKey || event.altKey) return;
        event.preventDefault();
        openPalette();
      } else if (paletteOpened.get() && !inDialog(event.target)) typeAhead(event);
    }
    document.addEventListener("keydown", onKey, { capture: true });
    return () => document.removeEventListener("keydown", onKey, { capture: true });
  }, []);

  if (!opened) return null;
  return (
    <Suspense fallback={null}>
      <Palette onClose={closePalette} />
    </Suspense>
  );
}
