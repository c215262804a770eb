/** A part that does not load says so alone, why, and loads at the next try. */
import { Suspense } from "react";
import { MantineProvider } from "@mantine/core";
import { act, render, screen } from "@testing-library/react";
import userEvent from "@testing-library/user-event";
import { beforeEach, expect, it, vi } from "vitest";
import { piece } from "./Piece";

const LOST = new TypeError("Failed to fetch dynamically imported module: /assets/LinePlot-1.js");
const ENTRY = "/assets/index-1.js";

/** @param {string | null} page what the server's first page holds; null: no server answers */
function answer(page) {
  vi.spyOn(window, "fetch").mockImplementation(async () => {
    if (page === null) throw new TypeError("Failed to fetch");
    return new Response(page);
  });
}

/** @param {() => Promise<any>} load @param {{ over?: boolean }} [options] */
async function show(load, options) {
  const reload = vi.fn();
  const onClose = vi.fn();
  const Plot = piece(load, { what: "The plot", reload, ...options });
  await act(async () =>
    render(
      <MantineProvider env="test">
        <h1>Devices</h1>
        <Suspense fallback={<p>loading</p>}>
          <Plot words="97 online" onClose={onClose} />
        </Suspense>
      </MantineProvider>,
    ),
  );
  return { reload, onClose, user: userEvent.setup() };
}

/** @param {{ words: string }} props */
const Arrived = ({ words }) => <p>{words}</p>;

beforeEach(() => {
  /** @type {any} */ (window).happyDOM.settings.handleDisabledFileLoadingAsSuccess = true;
  const entry = Object.assign(document.createElement("script"), { type: "module", src: ENTRY });
  document.head.replaceChildren(entry);
});

it("loads at the next try when the server is back, and the page lives meanwhile", async () => {
  answer(null);
  const load = vi.fn().mockRejectedValueOnce(LOST).mockResolvedValue({ default: Arrived });
  const { reload, user } = await show(load);
  const box = await screen.findByRole("alert");
  expect(box.textContent).toContain("The plot cannot be shown.No answer came back from the server.");
  expect(screen.getByRole("heading", { name: "Devices" })).toBeTruthy();
  await act(() => user.click(screen.getByRole("button", { name: "Try again" })));
  expect(await screen.findByText("97 online")).toBeTruthy();
  expect(screen.queryByRole("alert")).toBeNull();
  expect([load.mock.calls.length, reload.mock.calls.length]).toEqual([2, 0]);
});

it.each([
  ["the server has another version", '<script src="/assets/index-2.js">', 1],
  ["another try fails as well", `<script src="${ENTRY}">`, 2],
])("reloads the page when %s", async (_, page, failures) => {
  answer(page);
  const { reload, user } = await show(() => Promise.reject(LOST));
  for (let tries = 1; tries < failures; tries += 1)
    await act(() => user.click(screen.getByRole("button", { name: "Try again" })));
  await user.click(await screen.findByRole("button", { name: "Reload the page" }));
  expect(reload).toHaveBeenCalledOnce();
});

it("that stands over the page can be let be", async () => {
  answer(null);
  const { onClose, user } = await show(() => Promise.reject(LOST), { over: true });
  await user.click(await screen.findByRole("button", { name: "Dismiss" }));
  expect(onClose).toHaveBeenCalledOnce();
});

it("that was asked for early and in vain is asked for again when it is needed", async () => {
  const load = vi.fn().mockRejectedValueOnce(LOST).mockResolvedValue({ default: Arrived });
  const Part = piece(load);
  await Part.preload();
  await act(async () =>
    render(
      <Suspense>
        <Part words="37 devices" />
      </Suspense>,
    ),
  );
  expect(await screen.findByText("37 devices")).toBeTruthy();
});
