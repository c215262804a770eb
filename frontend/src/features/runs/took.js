/** How long things took, as short as it can be said. */

/** "0.3 s", "42 s", "3 min 5 s", "2 h 4 min". @param {number} seconds */
export function preciseDuration(seconds) {
  if (seconds < 10) return `${seconds.toFixed(seconds < 1 ? 2 : 1)} s`;
  const whole = Math.round(seconds);
  if (whole < 60) return `${whole} s`;
  if (whole < 3600) return `${Math.floor(whole / 60)} min ${whole % 60} s`;
  return `${Math.floor(whole / 3600)} h ${Math.floor((whole % 3600) / 60)} min`;
}

/** @param {import("../../live/runs").Task} task */
export const tookWords = ({ duration_s }) => (duration_s === null ? "" : preciseDuration(duration_s));
