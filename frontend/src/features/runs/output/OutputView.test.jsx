/** The output of a device, where there is none to read any more. */
import { render, screen } from "@testing-library/react";
import { expect, it, vi } from "vitest";
import { golden } from "../../../test-support";
import { OutputView } from "./OutputView";

it("says that it was deleted, and how much it was, without asking for it", () => {
  const asked = vi.spyOn(globalThis, "fetch");
  const task = golden("tasks_changed").tasks.find((/** @type {any} */ one) => one.output_deleted_at);
  render(<OutputView task={task} running={false} />);
  expect(screen.getByTestId("output-deleted")).toHaveProperty(
    "textContent",
    expect.stringMatching(/^What it printed, 64 MiB, was deleted .*retention/),
  );
  expect(screen.queryByTestId("output")).toBeNull();
  expect(asked).not.toHaveBeenCalled();
});
