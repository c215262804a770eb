/** Shows each notice as a toast that grows while its group grows, unless the user wants them in the list only. */
import { useEffect } from "react";
import { Notifications, notifications } from "@mantine/notifications";
import { Link } from "@tanstack/react-router";
import { Icon } from "../../components/Icon";
import { notices } from "../../live";
import { names, sentence } from "../../live/notices";
import { noticeMode } from "../../lib/preferences";
import { readable } from "../runs/Sentence";
import { NOTICE_STATE, placeOf } from "./noticeState";
import "@mantine/notifications/styles.css";
import classes from "./Toasts.module.css";

const SHOWN_MS = 6000;

/** @param {import("../../live/notices").Notice} notice */
function toast(notice) {
  const state = NOTICE_STATE[notice.kind];
  const text = readable(sentence(notice));
  const place = placeOf(notice);
  return {
    id: notice.key,
    role: "status",
    "data-testid": "toast",
    "data-state": state,
    className: classes.toast,
    withBorder: true,
    autoClose: SHOWN_MS,
    closeButtonProps: { "aria-label": "Dismiss" },
    icon: <Icon name={state} />,
    color: `var(--state-${state})`,
    title: place ? (
      <Link {...place} className={classes.link}>
        {text}
      </Link>
    ) : (
      text
    ),
    message: names(notice),
  };
}

export function Toasts() {
  useEffect(() => {
    /** @type {Set<string>} */
    const shown = new Set();
    return notices.onChange((changed) => {
      if (noticeMode.get() !== "toast") return;
      for (const notice of changed) {
        if (shown.has(notice.key)) notifications.update(toast(notice));
        else notifications.show(toast(notice));
        shown.add(notice.key);
      }
    });
  }, []);
  return <Notifications className={classes.toasts} position="bottom-right" limit={4} containerWidth={340} />;
}
