/** Enter keeps what was typed, Escape leaves it as it was, and what is off says why instead of opening. */
import { MantineProvider } from "@mantine/core";
import { render, screen } from "@testing-library/react";
import userEvent from "@testing-library/user-event";
import { expect, it, vi } from "vitest";
import { InlineEdit } from "./InlineEdit";

/** @param {string | null} [off] */
function show(off) {
  const onSave = vi.fn();
  render(
    <MantineProvider env="test">
      <InlineEdit value="web-1" label="Rename" maxLength={20} off={off} onSave={onSave}>
        <h2>web-1</h2>
      </InlineEdit>
    </MantineProvider>,
  );
  return { onSave, user: userEvent.setup() };
}

it("keeps trimmed text on Enter", async () => {
  const { onSave, user } = show();
  await user.click(screen.getByRole("button", { name: "Rename" }));
  const field = screen.getByRole("textbox", { name: "Rename" });
  await user.clear(field);
  await user.type(field, "  db-1 {Enter}");
  expect(onSave).toHaveBeenCalledExactlyOnceWith("db-1");
  expect(screen.queryByRole("textbox")).toBeNull();
});

it.each(["{Escape}", "{Enter}"])("changes nothing on %s when nothing was typed", async (key) => {
  const { onSave, user } = show();
  await user.click(screen.getByRole("button", { name: "Rename" }));
  await user.keyboard(key);
  expect(onSave).not.toHaveBeenCalled();
  expect(screen.getByRole("heading", { name: "web-1" })).toBeTruthy();
});

it("does not open while it is off", async () => {
  const { user } = show("The link to the server is lost.");
  await user.click(screen.getByRole("button", { name: "Rename" }));
  expect(screen.queryByRole("textbox")).toBeNull();
});
