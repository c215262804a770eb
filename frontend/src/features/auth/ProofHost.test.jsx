/** One question for all that wait, asked for a code or for the password; its answer is the answer to all of them. */
import { MantineProvider } from "@mantine/core";
import { QueryClient, QueryClientProvider } from "@tanstack/react-query";
import { render, screen, waitFor } from "@testing-library/react";
import userEvent from "@testing-library/user-event";
import { afterEach, beforeAll, beforeEach, expect, it, vi } from "vitest";
import { api, ask } from "../../lib/api";
import { ProofHost } from "./ProofHost";

/** @type {string[]} */
let sent;
let since = /** @type {string | null} */ (null);
let proven = false;

/** @param {number} status @param {unknown} body @param {string} url */
function answer(status, body, url) {
  const response = new Response(status === 204 ? null : JSON.stringify(body), {
    status,
    headers: { "content-type": "application/json" },
  });
  Object.defineProperty(response, "url", { value: url });
  return response;
}

beforeAll(() => import("./ProofDialog")); // it is loaded at its first use

beforeEach(() => {
  sent = [];
  since = null;
  proven = false;
  vi.stubGlobal("fetch", async (/** @type {Request} */ request) => {
    const path = new URL(request.url).pathname.replace("/api/v1/", "");
    const body = await request.text();
    sent.push(`${request.method} ${path} ${body}`.trim());
    if (path === "auth/two-factor")
      return answer(200, { since, last_used_at: null, recovery_codes_left: 10 }, request.url);
    if (path === "auth/proof") {
      proven = body.includes("right");
      return proven ? answer(204, null, request.url) : answer(422, { code: "wrong", detail: "No." }, request.url);
    }
    return proven ? answer(204, null, request.url) : answer(403, { code: "proof_required" }, request.url);
  });
});

afterEach(() => vi.unstubAllGlobals());

function show() {
  const client = new QueryClient({ defaultOptions: { queries: { retry: false } } });
  render(
    <QueryClientProvider client={client}>
      <MantineProvider env="test">
        <ProofHost />
      </MantineProvider>
    </QueryClientProvider>,
  );
  return userEvent.setup();
}

/** @param {number} id */
const remove = (id) =>
  ask(api.DELETE("/api/v1/devices/{device_id}", { params: { path: { device_id: id } } })).then(
    () => "deleted",
    ({ code }) => code,
  );

it("lets all that wait go on, once the password is right", async () => {
  const user = show();
  const waiting = [remove(1), remove(2), remove(3)];
  const input = await screen.findByLabelText("Your password");
  expect(screen.getAllByRole("dialog")).toHaveLength(1);
  await user.type(input, "wrong{Enter}");
  expect((await screen.findByRole("alert")).textContent).toContain("No.");
  await user.type(screen.getByLabelText("Your password"), "right{Enter}");
  expect(await Promise.all(waiting)).toEqual(["deleted", "deleted", "deleted"]);
  await waitFor(() => expect(screen.queryByRole("dialog")).toBeNull());
  expect(sent.filter((line) => line.startsWith("POST"))).toEqual([
    'POST auth/proof {"password":"wrong"}',
    'POST auth/proof {"password":"right"}',
  ]);
  expect(sent.filter((line) => line === "DELETE devices/2")).toHaveLength(2);
});

it("asks for a code where there is a second factor, and takes no for an answer", async () => {
  since = "2026-01-01T00:00:00Z";
  const user = show();
  const waiting = [remove(1), remove(2)];
  await screen.findByLabelText("Code");
  expect(screen.queryByLabelText("Your password")).toBeNull();
  await user.click(screen.getByRole("button", { name: "Cancel" }));
  expect(await Promise.all(waiting)).toEqual(["proof_required", "proof_required"]);
  const again = remove(1);
  await user.type(await screen.findByLabelText("Code"), "right{Enter}");
  expect(await again).toBe("deleted");
  expect(sent).toContain('POST auth/proof {"code":"right"}');
});
