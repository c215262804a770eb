/** The list of what came and went, with the number of lines not read yet. */
import { useState } from "react";
import { ActionIcon, Indicator, Popover } from "@mantine/core";
import { Link } from "@tanstack/react-router";
import { Icon } from "../../components/Icon";
import { Time } from "../../components/Time";
import { notices, useNotices } from "../../live";
import { names, sentence } from "../../live/notices";
import { readable } from "../runs/Sentence";
import { NOTICE_STATE, placeOf } from "./noticeState";
import classes from "./NoticeList.module.css";

export function NoticeList() {
  const list = useNotices();
  const [opened, setOpened] = useState(false);
  const unread = list.filter(({ read }) => !read).length;

  /** @param {boolean} open */
  function change(open) {
    setOpened(open);
    if (!open) notices.markRead();
  }

  return (
    <Popover opened={opened} onChange={change} position="bottom-end" width={360} trapFocus returnFocus>
      <Indicator label={unread > 99 ? "99+" : unread} size={16} disabled={unread === 0} color="danger" offset={4}>
        <Popover.Target>
          <ActionIcon
            variant="subtle"
            color="gray"
            size="lg"
            aria-label={unread ? `Notifications, ${unread} unread` : "Notifications"}
            onClick={() => change(!opened)}
          >
            <Icon name="bell" size={18} />
          </ActionIcon>
        </Popover.Target>
      </Indicator>
      <Popover.Dropdown className={classes.dropdown} aria-label="Notifications">
        <div className={classes.head}>
          <strong>Notifications</strong>
          {list.length > 0 && (
            <button type="button" className={classes.clear} onClick={notices.clear}>
              Clear
            </button>
          )}
        </div>
        {list.length === 0 ? (
          <p className={classes.empty}>
            Devices that come and go, runs of yours that end, and deployments that end, pause or wait for approval are
            listed here while this page is open.
          </p>
        ) : (
          <ul className={classes.list} data-testid="notice-list">
            {list.slice(0, 50).map((notice) => (
              <Line key={notice.key} notice={notice} onOpen={() => change(false)} />
            ))}
          </ul>
        )}
      </Popover.Dropdown>
    </Popover>
  );
}

/** @param {{ notice: import("../../live/notices").Notice, onOpen: () => void }} props */
function Line({ notice, onOpen }) {
  const state = NOTICE_STATE[notice.kind];
  const text = readable(sentence(notice));
  const place = placeOf(notice);
  return (
    <li className={classes.line} data-unread={notice.read ? undefined : true}>
      <span style={{ color: `var(--state-${state})` }} className={classes.icon}>
        <Icon name={state} />
      </span>
      <div className={classes.words}>
        {place ? (
          <Link {...place} onClick={onOpen}>
            {text}
          </Link>
        ) : (
          <span>{text}</span>
        )}
        {notice.subjects.length > 1 && <div className="muted">{names(notice)}</div>}
        <div className="muted">
          <Time at={notice.at} />
        </div>
      </div>
    </li>
  );
}
