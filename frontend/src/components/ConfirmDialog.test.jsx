/** What cannot be undone is asked first; above twenty things their number has to be typed. */
import { MantineProvider } from "@mantine/core";
import { render, screen } from "@testing-library/react";
import { userEvent } from "@testing-library/user-event";
import { expect, it, vi } from "vitest";
import { ConfirmDialog, TYPE_ABOVE } from "./ConfirmDialog";

/** @param {number} count */
function ask(count) {
  const [onConfirm, onClose] = [vi.fn(), vi.fn()];
  render(
    <MantineProvider env="test">
      <ConfirmDialog opened title="Delete devices" action="Delete" {...{ count, onConfirm, onClose }}>
        These go.
      </ConfirmDialog>
    </MantineProvider>,
  );
  return { onConfirm, onClose, button: screen.getByRole("button", { name: "Delete" }) };
}

it("acts at one click for a few", async () => {
  const { onConfirm, button } = ask(TYPE_ABOVE);
  expect(screen.queryByRole("textbox")).toBeNull();
  await userEvent.click(button);
  expect(onConfirm).toHaveBeenCalledOnce();
});

it("wants the number of many, and no other", async () => {
  const { onConfirm, button } = ask(1200);
  const box = screen.getByLabelText("Type 1,200 to confirm");
  expect(button.hasAttribute("disabled")).toBe(true);
  await userEvent.type(box, "120{Enter}");
  expect(onConfirm).not.toHaveBeenCalled();
  await userEvent.type(box, "0");
  expect(button.hasAttribute("disabled")).toBe(false);
  await userEvent.clear(box);
  await userEvent.type(box, "1,200{Enter}");
  expect(onConfirm).toHaveBeenCalledOnce();
});

it("does nothing when it is cancelled", async () => {
  const { onConfirm, onClose } = ask(1);
  await userEvent.click(screen.getByRole("button", { name: "Cancel" }));
  expect(onClose).toHaveBeenCalledOnce();
  expect(onConfirm).not.toHaveBeenCalled();
});
