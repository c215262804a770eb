/**
 * The log lines that the specification gives to the frontend, word for word, at debug level. A thousand devices that come
 * at once are a thousand lines, so they are written a few at a time: the console must not hold up a frame.
 */
const AT_ONCE = 50;
const TURN_MS = 20;

/** @type {string[]} */
let waiting = [];
let room = AT_ONCE;

function nextTurn() {
  const lines = waiting.slice(0, AT_ONCE);
  waiting = waiting.slice(AT_ONCE);
  room = AT_ONCE - lines.length;
  for (const line of lines) console.debug(line);
  if (lines.length > 0) setTimeout(nextTurn, TURN_MS);
}

/** @param {string} text */
function info(text) {
  const line = `[INFO] ${text}`;
  if (room === 0) return void waiting.push(line);
  if (room === AT_ONCE) setTimeout(nextTurn, TURN_MS);
  room -= 1;
  console.debug(line);
}

export const log = {
  /** @param {string} name @param {string} status */
  statusChanged: (name, status) => info(`Device status changed: ${name} → ${status}`),
  statsUpdated: () => info("Dashboard stats updated"),
  /** @param {string} title */
  notification: (title) => info(`Notification: ${title}`),
};
