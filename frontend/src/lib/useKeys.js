/** Single keys as commands, never while somebody types or a dialog is open. */
import { useEffect, useRef } from "react";

const TYPING = 'textarea, select, [contenteditable="true"], input:not([type="checkbox"]):not([type="radio"])';

/** @param {KeyboardEvent} event */
const isTyping = (event) => event.target instanceof Element && event.target.closest(TYPING) !== null;

const dialogOpen = () => document.querySelector('[role="dialog"], [role="menu"]') !== null;

/** @param {Record<string, (event: KeyboardEvent) => void>} keys by `event.key`, with `Shift+` in front where it is held */
export function useKeys(keys) {
  const latest = useRef(keys);
  useEffect(() => {
    latest.current = keys;
  });
  useEffect(() => {
    /** @param {KeyboardEvent} event */
    function onKey(event) {
      if (event.defaultPrevented || event.ctrlKey || event.metaKey || event.altKey || isTyping(event)) return;
      const name = event.key.length === 1 ? event.key.toLowerCase() : event.key;
      const run = latest.current[`${event.shiftKey && event.key !== "?" ? "Shift+" : ""}${name}`];
      if (!run || dialogOpen()) return;
      event.preventDefault();
      run(event);
    }
    document.addEventListener("keydown", onKey);
    return () => document.removeEventListener("keydown", onKey);
  }, []);
}
