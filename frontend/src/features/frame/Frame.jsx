/** What surrounds every page of a signed-in user. */
import { Outlet } from "@tanstack/react-router";
import { ProofHost } from "../auth/ProofHost";
import { LinkBanner } from "./LinkBanner";
import { PaletteHost } from "./PaletteHost";
import { Rail } from "./Rail";
import { ShortcutHelp } from "./ShortcutHelp";
import { Toasts } from "./Toasts";
import { TopBar } from "./TopBar";
import classes from "./Frame.module.css";

export function Frame() {
  return (
    <div className={classes.frame}>
      <a className={classes.skip} href="#main">
        Skip to content
      </a>
      <Rail />
      <TopBar />
      <div className={classes.content}>
        <LinkBanner />
        <main id="main" className={classes.main} tabIndex={-1}>
          <Outlet />
        </main>
      </div>
      <PaletteHost />
      <ShortcutHelp />
      <Toasts />
      <ProofHost />
    </div>
  );
}
