/** The days of a calendar and what is due on each, by the reader's own clock. Pure. */

export const WEEKS = 5;

/**
 * @typedef {{ scheduleId: string, name: string, times: Date[], often: boolean }} Due
 * @typedef {{ date: Date, due: Due[], past: boolean }} Day
 */

/** The Monday of the week of `now`, and the end of the last week. @param {Date} now */
export function spanOf(now) {
  const start = new Date(now.getFullYear(), now.getMonth(), now.getDate() - ((now.getDay() + 6) % 7));
  const end = new Date(start.getFullYear(), start.getMonth(), start.getDate() + WEEKS * 7);
  return { start, end };
}

/** @param {Date} date */
const dayKey = (date) => `${date.getFullYear()}-${date.getMonth()}-${date.getDate()}`;

/**
 * @param {readonly import("./api").Planned[]} planned
 * @param {Date} now
 * @returns {Day[]}
 */
export function daysOf(planned, now) {
  const { start } = spanOf(now);
  const today = new Date(now.getFullYear(), now.getMonth(), now.getDate());
  const days = Array.from({ length: WEEKS * 7 }, (_, number) => {
    const date = new Date(start.getFullYear(), start.getMonth(), start.getDate() + number);
    return { date, due: /** @type {Due[]} */ ([]), past: date < today };
  });
  const byKey = new Map(days.map((day) => [dayKey(day.date), day]));
  for (const { schedule_id, name, times, more } of planned) {
    /** @type {Map<string, Date[]>} */
    const onDay = new Map();
    for (const time of times) {
      const at = new Date(time);
      onDay.set(dayKey(at), [...(onDay.get(dayKey(at)) ?? []), at]);
    }
    for (const [key, found] of onDay)
      byKey.get(key)?.due.push({ scheduleId: schedule_id, name, times: found, often: false });
    const last = times.at(-1);
    if (more && last) {
      const known = new Date(last);
      for (const day of days)
        if (day.date > known || dayKey(day.date) === dayKey(known)) {
          day.due = day.due.filter((due) => due.scheduleId !== schedule_id);
          day.due.push({ scheduleId: schedule_id, name, times: [], often: true });
        }
    }
  }
  for (const day of days) day.due.sort((a, b) => (a.times[0]?.getTime() ?? 0) - (b.times[0]?.getTime() ?? 0));
  return days;
}
