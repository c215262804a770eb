/** The bar at the top: search, the state of the link, notifications, theme, account. */
import { UnstyledButton } from "@mantine/core";
import { Icon } from "../../components/Icon";
import { AccountMenu } from "./AccountMenu";
import { LinkMark } from "./LinkMark";
import { NoticeList } from "./NoticeList";
import { openPalette } from "./paletteState";
import { ThemeMenu } from "./ThemeMenu";
import classes from "./TopBar.module.css";

export function TopBar() {
  return (
    <header className={classes.bar}>
      <UnstyledButton className={classes.search} onClick={openPalette} aria-keyshortcuts="Control+K">
        <Icon name="search" />
        <span className={classes.hint}>Find a device, page or action</span>
        <kbd className={classes.key}>Ctrl K</kbd>
      </UnstyledButton>
      <div className={classes.tools}>
        <LinkMark />
        <NoticeList />
        <ThemeMenu />
        <AccountMenu />
      </div>
    </header>
  );
}
