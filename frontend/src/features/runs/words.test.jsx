/** What a run says in words: before it starts, while it waits, when it is done. */
import { render, screen } from "@testing-library/react";
import { describe, expect, it } from "vitest";
import { setServerTime } from "../../lib/clock";
import { golden } from "../../test-support";
import { previewWords } from "./compose/Preview";
import { suggestions } from "./compose/suggestions";
import { readable, Sentence } from "./Sentence";
import { BAD, RETRIED, STATE_ORDER, UNFINISHED, countWords, unfinished } from "./states";
import { preciseDuration } from "./took";
import { device } from "../../test-support";

describe("a preview", () => {
  /** @param {number} online @param {number} offline */
  const words = (online, offline) =>
    previewWords(/** @type {any} */ ({ total: online + offline, online, offline }), "1 d");
  it.each([
    [0, 0, "No device is reached."],
    [1, 0, "This will run on 1 device, online."],
    [37, 0, "This will run on 37 devices, all online."],
    [35, 2, "This will run on 37 devices: 35 online, 2 get it on return (expires after 1 d)."],
    [35, 1, "This will run on 36 devices: 35 online, 1 gets it on return (expires after 1 d)."],
    [0, 1, "This will run on 1 device, offline: it gets it on return (expires after 1 d)."],
    [0, 2, "This will run on 2 devices, all offline: they get it on return (expires after 1 d)."],
  ])("of %i online and %i offline", (online, offline, sentence) => {
    expect(words(online, offline)).toBe(sentence);
  });
});

describe("a sentence of the server's", () => {
  it("shows moments in the reader's time, and the exact one on hover", () => {
    setServerTime("2026-03-01T08:30:00.000Z");
    const text = "offline since 2026-03-01T08:02:00Z; sent when it is back, until 2026-03-02T08:30:00Z";
    render(
      <p data-testid="text">
        <Sentence text={text} />
      </p>,
    );
    expect(screen.getByTestId("text").textContent).toBe(readable(text));
    expect(readable(text)).not.toMatch(/T\d\d:/);
    const times = [...screen.getByTestId("text").querySelectorAll("time")].map((time) => time.dateTime);
    expect(times).toEqual(["2026-03-01T08:02:00Z", "2026-03-02T08:30:00Z"]);
  });

  it("without moments stays as it is", () => {
    expect(readable("exit code 3")).toBe("exit code 3");
  });
});

describe("the states", () => {
  it("are counted in words, what is bad first", () => {
    expect(countWords({ succeeded: 1200, failed: 2, queued: 1 })).toBe("2 failed, 1 queued, 1,200 succeeded");
    expect(unfinished(golden("runs_changed").runs[0])).toBe(2);
  });

  it("are each of one sort", () => {
    const over = STATE_ORDER.filter((state) => !UNFINISHED.has(state));
    expect([...RETRIED, "succeeded"].sort()).toEqual([...over].sort());
    expect([...BAD, "cancelled"].sort()).toEqual([...RETRIED].sort());
  });
});

describe("a short time", () => {
  it.each([
    [0.012, "0.01 s"],
    [4.25, "4.3 s"],
    [42, "42 s"],
    [185, "3 min 5 s"],
    [7500, "2 h 5 min"],
  ])("%d", (seconds, words) => {
    expect(preciseDuration(seconds)).toBe(words);
  });
});

describe("the selectors that are offered", () => {
  it("fit the trusted devices there are, and can be read by the server", () => {
    const offered = suggestions([
      device({
        platform: "Windows 11",
        tags: { role: "web", "my tag": 'a"b' },
        agent_tags: { role: "old" },
        trust: "trusted",
      }),
      device({ platform: "linux", tags: { laptop: "" }, agent_tags: { role: "web" }, trust: "trusted" }),
      device({ platform: "odd", trust: "pending" }),
    ]);
    expect(offered).toEqual([
      "*",
      "status=online",
      'platform="Windows 11"',
      "platform=linux",
      "role=web",
      '"my tag"="a\\"b"',
      "laptop",
    ]);
  });
});
