/**
 * A part of a page that is a chunk of its own. If its code or its styles do not load, that part alone says so and offers
 * another try; the rest of the page lives. Used as a component within `Suspense`, or as the component of a route.
 */
import { use, useReducer } from "react";
import { CloseButton } from "@mantine/core";
import { missingStyles, reasonOf } from "../lib/chunks";
import { ProblemBox } from "./ProblemBox";
import classes from "./Piece.module.css";

const reloadPage = () => window.location.reload();

/**
 * @param {() => Promise<any>} load
 * @param {object} [options]
 * @param {string} [options.name] which of the module's exports it is
 * @param {string} [options.what] "The plot": what is said not to load
 * @param {boolean} [options.over] it stands over the page, and `onClose` among its properties closes it
 * @param {() => void} [options.reload]
 */
export function piece(load, { name = "default", what = "This part", over = false, reload = reloadPage } = {}) {
  /** @type {import("react").ComponentType<any> | null} */
  let Loaded = null;
  /** @type {import("../lib/problem").Problem | null} */
  let problem = null;
  /** @type {Promise<void> | null} */
  let wait = null;
  let failures = 0;

  const arrived = (/** @type {any} */ module) => void (Loaded = module[name]);

  async function attempt() {
    try {
      await missingStyles();
      arrived(await load());
    } catch (error) {
      failures += 1;
      problem = await reasonOf(error);
    } finally {
      wait = null;
    }
  }

  /** @param {any} props */
  function Piece(props) {
    const [, again] = useReducer((/** @type {number} */ count) => count + 1, 0);
    if (Loaded) return <Loaded {...props} />;
    if (!problem) {
      wait ??= attempt();
      use(wait);
    }
    // Some browsers keep an import that failed for as long as the page lives, and another version needs another page.
    const anew = problem?.code === "newer_dashboard" || (problem?.code === "part_missing" && failures > 1);
    function retry() {
      if (anew) return reload();
      problem = null;
      again();
    }
    return (
      <div className={over ? classes.over : classes.inside} data-testid="piece-missing">
        <ProblemBox
          error={problem}
          what={`${what} cannot be shown.`}
          action={anew ? "Reload the page" : undefined}
          onRetry={retry}
        />
        {over && (
          <CloseButton
            aria-label="Dismiss"
            onClick={() => {
              problem = null;
              props.onClose?.();
            }}
          />
        )}
      </div>
    );
  }

  /** Before it is needed; a failure is nobody's business then. @returns {Promise<void>} */
  Piece.preload = () => load().then(arrived, () => {});
  return Piece;
}
