/** The log lines that the specification gives to the frontend, word for word, at debug level. */

/** @param {string} line */
const info = (line) => console.debug(`[INFO] ${line}`);

export const log = {
  /** @param {string} name @param {string} status */
  statusChanged: (name, status) => info(`Device status changed: ${name} → ${status}`),
  statsUpdated: () => info("Dashboard stats updated"),
  /** @param {string} title */
  notification: (title) => info(`Notification: ${title}`),
};
