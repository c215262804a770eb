/** Ctrl-K, everywhere, also while typing; the palette itself is loaded at its first use. */
import { Suspense, lazy, useEffect } from "react";
import { useAtom } from "../../lib/atom";
import { openPalette, paletteOpened } from "./paletteState";

const Palette = lazy(() => import("./Palette"));

export function PaletteHost() {
  const opened = useAtom(paletteOpened);

  useEffect(() => {
    /** @param {KeyboardEvent} event */
    function onKey(event) {
      if (event.key.toLowerCase() !== "k" || !(event.ctrlKey || event.metaKey) || event.shiftKey || event.altKey)
        return;
      event.preventDefault();
      openPalette();
    }
    document.addEventListener("keydown", onKey, { capture: true });
    return () => document.removeEventListener("keydown", onKey, { capture: true });
  }, []);

  if (!opened) return null;
  return (
    <Suspense fallback={null}>
      <Palette onClose={() => paletteOpened.set(false)} />
    </Suspense>
  );
}
