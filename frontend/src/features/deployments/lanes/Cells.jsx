/**
 * A cell for each device of a wave, in the order of their turns. Each state has a form of its own besides its colour. One
 * stop for the Tab key; the arrows go from cell to cell.
 */
import { memo } from "react";
import { readable } from "../../runs/Sentence";
import { IN_FLIGHT, PHASES, TARGET_STATES } from "../states";
import classes from "./Cells.module.css";

/** Which way each key goes; up and down go by as many as stand in a row. @type {Record<string, [number, boolean]>} */
const STEPS = {
  ArrowRight: [1, false],
  ArrowLeft: [-1, false],
  ArrowDown: [1, true],
  ArrowUp: [-1, true],
};

/** How many cells stand in a row. @param {HTMLElement[]} cells */
function rowOf(cells) {
  const top = cells[0]?.offsetTop;
  const next = cells.findIndex((cell) => cell.offsetTop !== top);
  return next < 0 ? cells.length : next;
}

/** @param {import("react").KeyboardEvent<HTMLElement>} event */
function step(event) {
  const way = STEPS[event.key];
  const box = event.currentTarget.parentElement;
  if (!way || !box) return;
  event.preventDefault();
  const cells = /** @type {HTMLElement[]} */ ([...box.children]);
  const [by, row] = way;
  cells[cells.indexOf(event.currentTarget) + by * (row ? rowOf(cells) : 1)]?.focus();
}

/** "web-12: installing, 40 %". @param {import("../states").Target} target */
export function cellWords({ device_name, state, phase, percent, reason, attention }) {
  const at = IN_FLIGHT.has(state) && phase ? PHASES[phase] : TARGET_STATES[state].word.toLowerCase();
  const more = percent !== null && IN_FLIGHT.has(state) ? `, ${percent} %` : reason && `: ${readable(reason)}`;
  return `${device_name}: ${at}${more}${attention ? " – somebody has to look at it" : ""}`;
}

/** @param {{ targets: import("../states").Target[], small: boolean, openId: string | undefined, onOpen: (id: string) => void }} props */
export function Cells({ targets, small, openId, onOpen }) {
  return (
    <div className={classes.cells} data-small={small || undefined} role="group" aria-label="Devices of this wave">
      {targets.map((target, index) => (
        <Cell key={target.id} target={target} first={index === 0} open={target.id === openId} onOpen={onOpen} />
      ))}
    </div>
  );
}

const Cell = memo(OneCell);

/** @param {{ target: import("../states").Target, first: boolean, open: boolean, onOpen: (id: string) => void }} props */
function OneCell({ target, first, open, onOpen }) {
  const words = cellWords(target);
  return (
    <button
      type="button"
      className={classes.cell}
      tabIndex={first ? 0 : -1}
      aria-label={words}
      aria-pressed={open}
      title={words}
      data-rollout={target.state}
      data-testid="cell"
      data-attention={target.attention || undefined}
      style={IN_FLIGHT.has(target.state) ? /** @type {any} */ ({ "--done": `${target.percent ?? 25}%` }) : undefined}
      onClick={() => onOpen(target.id)}
      onKeyDown={step}
    />
  );
}
