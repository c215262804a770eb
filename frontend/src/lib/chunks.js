/**
 * Why a part of the dashboard did not load: the server is away, or it has another version of the dashboard by now, which
 * has no such file any longer.
 */
import { Problem, asProblem, unreachable } from "./problem";

const ASK_MS = 5000;
/** What Chromium, Firefox, Safari and the build's own loader say of a file that did not come. */
const DID_NOT_COME = /dynamically imported module|importing a module script failed|unable to preload css/i;

const STOPPED = new Problem({
  status: 0,
  code: "part_missing",
  title: "A part of the page did not arrive",
  detail: "It was asked for, and did not arrive whole.",
});
const NEWER = new Problem({
  status: 0,
  code: "newer_dashboard",
  title: "The server has another version of the dashboard",
  detail: "The server has another version of the dashboard than this page.",
});

/** Style sheets that did not come. @type {Set<HTMLLinkElement>} */
const dead = new Set();

/** The build's loader asks for each style sheet once, whether it came or not: those that did not are asked for here. */
export function watchStyles() {
  document.addEventListener(
    "error",
    ({ target }) => {
      if (target instanceof HTMLLinkElement && target.rel === "stylesheet") dead.add(target);
    },
    { capture: true },
  );
}

/** Asks again for every style sheet that did not come. Raises what the build's loader raises when one still does not. */
export const missingStyles = () =>
  Promise.all(
    [...dead].map(
      (old) =>
        new Promise((resolve, reject) => {
          const link = /** @type {HTMLLinkElement} */ (old.cloneNode());
          dead.delete(old);
          link.addEventListener("load", resolve);
          link.addEventListener("error", () => reject(new Error(`Unable to preload CSS for ${link.href}`)));
          old.replaceWith(link);
        }),
    ),
  );

/** @param {unknown} error of an import @returns {Promise<Problem>} what to tell the reader */
export async function reasonOf(error) {
  if (!(error instanceof Error && DID_NOT_COME.test(error.message))) return asProblem(error);
  const entry = document.querySelector('script[type="module"][src]')?.getAttribute("src");
  try {
    const answer = await fetch("/", {
      headers: { Accept: "text/html" },
      cache: "no-store",
      signal: AbortSignal.timeout(ASK_MS),
    });
    if (!answer.ok) return unreachable();
    return entry && !(await answer.text()).includes(entry) ? NEWER : STOPPED;
  } catch {
    return unreachable();
  }
}
