/**
 * The server's time, as well as this browser knows it, and one ticker for everything that shows a relative time.
 * Invariant: times on the screen are relative to the server's clock, so a browser whose clock is wrong shows no nonsense.
 */
let skewMs = 0;
/** @type {Set<() => void>} */
const listeners = new Set();
/** @type {ReturnType<typeof setInterval> | undefined} */
let timer;

/** @param {string} serverTime ISO 8601, as the server just said it. */
export function setServerTime(serverTime) {
  const at = Date.parse(serverTime);
  if (Number.isFinite(at)) skewMs = at - Date.now();
}

/** Milliseconds since the epoch on the server's clock. */
export const now = () => Date.now() + skewMs;

/** @param {() => void} listener called once a second */
export function onTick(listener) {
  listeners.add(listener);
  timer ??= setInterval(() => listeners.forEach((tick) => tick()), 1000);
  return () => {
    listeners.delete(listener);
    if (listeners.size || !timer) return;
    clearInterval(timer);
    timer = undefined;
  };
}
