/** What cannot be undone asks first, and above 20 things it wants their number. */
import { MantineProvider } from "@mantine/core";
import { render, screen } from "@testing-library/react";
import userEvent from "@testing-library/user-event";
import { describe, expect, it, vi } from "vitest";
import { ConfirmDialog, TYPE_ABOVE } from "./ConfirmDialog";

/** @param {number} count */
function show(count) {
  const onConfirm = vi.fn();
  const onClose = vi.fn();
  render(
    <MantineProvider env="test">
      <ConfirmDialog opened title="Delete" action="Delete them" count={count} onConfirm={onConfirm} onClose={onClose}>
        This deletes them.
      </ConfirmDialog>
    </MantineProvider>,
  );
  return { onConfirm, onClose, user: userEvent.setup() };
}

const action = () => /** @type {HTMLButtonElement} */ (screen.getByRole("button", { name: "Delete them" }));

describe("a confirmation", () => {
  it(`wants no number up to ${TYPE_ABOVE}`, async () => {
    const { onConfirm, user } = show(TYPE_ABOVE);
    expect(screen.queryByRole("textbox")).toBeNull();
    await user.click(action());
    expect(onConfirm).toHaveBeenCalledOnce();
  });

  it("stays shut until the number is right, however it is written", async () => {
    const { onConfirm, user } = show(1234);
    const field = screen.getByRole("textbox");
    expect(action().disabled).toBe(true);
    await user.type(field, "123");
    expect(action().disabled).toBe(true);
    await user.keyboard("{Enter}");
    expect(onConfirm).not.toHaveBeenCalled();
    await user.clear(field);
    await user.type(field, "1,234{Enter}");
    expect(onConfirm).toHaveBeenCalledOnce();
  });

  it("does nothing when it is cancelled", async () => {
    const { onConfirm, onClose, user } = show(1);
    await user.click(screen.getByRole("button", { name: "Cancel" }));
    expect(onClose).toHaveBeenCalledOnce();
    expect(onConfirm).not.toHaveBeenCalled();
  });
});
