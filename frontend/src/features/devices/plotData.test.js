/** The plot tells the truth: the server's points, gaps as gaps, and the live number at the end. */
import { describe, expect, it } from "vitest";
import { at } from "../../test-support";
import { lowest, seriesOf } from "./plotData";

const START_S = Date.parse(at(0)) / 1000;
const history = {
  step_s: 60,
  points: [
    [at(0), 8, 10],
    [at(60), null, null],
    [at(120), 1200, 1300],
  ],
};

/** @param {number} seconds */
const live = (seconds) => ({ at: Date.parse(at(seconds)), online: 7, total: 11 });

describe("the series", () => {
  it("has the server's points, with a gap where it recorded nothing", () => {
    expect(seriesOf(history, null)).toEqual({
      times: [START_S, START_S + 60, START_S + 120],
      online: [8, null, 1200],
      total: [10, null, 1300],
    });
  });

  it("ends with what is true now", () => {
    const { times, online, total } = seriesOf(history, live(150));
    expect([times.at(-1), online.at(-1), total.at(-1)]).toEqual([START_S + 150, 7, 11]);
    expect(times).toHaveLength(4);
  });

  it("does not join now to a point that is long ago", () => {
    expect(seriesOf(history, live(240)).online).toEqual([8, null, 1200, 7]);
    expect(seriesOf(history, live(241))).toMatchObject({
      times: [START_S, START_S + 60, START_S + 120, START_S + 180, START_S + 241],
      online: [8, null, 1200, null, 7],
      total: [10, null, 1300, null, 11],
    });
  });

  it("never goes back in time, though the clocks disagree", () => {
    expect(seriesOf(history, live(100)).times).toEqual(seriesOf(history, null).times);
    expect(seriesOf(history, live(120)).times).toHaveLength(3);
  });

  it("is the live point alone on a server that has recorded nothing yet", () => {
    expect(seriesOf({ step_s: 60, points: [] }, live(5))).toEqual({ times: [START_S + 5], online: [7], total: [11] });
    expect(seriesOf({ step_s: 60, points: [] }, null)).toEqual({ times: [], online: [], total: [] });
  });
});

it("knows the lowest number, gaps apart", () => {
  expect(lowest(seriesOf(history, null))).toBe("8");
  expect(lowest({ times: [1, 2], online: [1200, null], total: [] })).toBe("1,200");
  expect(lowest({ times: [1], online: [0], total: [] })).toBe("0");
  expect(lowest({ times: [1], online: [null], total: [] })).toBe("not recorded");
});
