/** `?` shows the keys; the dialog is loaded at its first use. */
import { Suspense } from "react";
import { piece } from "../../components/Piece";
import { useAtom } from "../../lib/atom";
import { useKeys } from "../../lib/useKeys";
import { helpOpened } from "./paletteState";

const ShortcutDialog = piece(() => import("./ShortcutDialog"), { what: "The list of keys", over: true });

export function ShortcutHelp() {
  const opened = useAtom(helpOpened);
  useKeys({ "?": () => helpOpened.set(true) });
  if (!opened) return null;
  return (
    <Suspense fallback={null}>
      <ShortcutDialog onClose={() => helpOpened.set(false)} />
    </Suspense>
  );
}
