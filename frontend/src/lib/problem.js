/** Every failure the dashboard shows has this form, whether the server said it or the network did. */

/** What the reader can do, by code; else by status. */
const WHAT_TO_DO = /** @type {Record<string, string>} */ ({
  unreachable: "Check that the server runs and that this computer reaches it, then try again.",
  forbidden: "Ask an administrator for the right to do this.",
  not_found: "It may have been deleted. Go back to the list.",
  too_many_attempts: "Wait before you try again.",
  proof_required: "Do it again, and show that it is you when you are asked.",
  part_missing: "", // the button says it
  newer_dashboard: "",
  precondition_failed: "Someone else changed it meanwhile. Look at the new values, then try again.",
});

/** @param {number} status */
function adviceFor(status) {
  if (status === 403) return WHAT_TO_DO.forbidden;
  if (status === 404) return WHAT_TO_DO.not_found;
  if (status === 412) return WHAT_TO_DO.precondition_failed;
  if (status >= 500) return "Try again. If it stays, give the request id to whoever runs the server.";
  return "Change what you entered, then try again.";
}

export class Problem extends Error {
  /**
   * @param {{ status: number, code: string, title: string, detail: string, requestId?: string, retryAfterS?: number, position?: number, challenge?: string }} from
   */
  constructor({ status, code, title, detail, requestId, retryAfterS, position, challenge }) {
    super(detail || title);
    this.name = "Problem";
    this.status = status;
    this.code = code;
    this.title = title;
    this.detail = detail;
    this.requestId = requestId;
    this.retryAfterS = retryAfterS;
    /** Of a selector: which of its characters is wrong, from 1. */
    this.position = position;
    /** Of a sign-in whose second step is to follow. */
    this.challenge = challenge;
  }

  /** One sentence. */
  get whatToDo() {
    return WHAT_TO_DO[this.code] ?? adviceFor(this.status);
  }
}

export const unreachable = () =>
  new Problem({
    status: 0,
    code: "unreachable",
    title: "The server did not answer",
    detail: "No answer came back from the server.",
  });

/** @param {unknown} error @returns {Problem} */
export function asProblem(error) {
  if (error instanceof Problem) return error;
  const detail = error instanceof Error ? error.message : String(error);
  return new Problem({ status: 500, code: "dashboard_error", title: "The dashboard made an error", detail });
}

/** @param {Response} response @param {unknown} body @returns {Problem} */
export function problemFrom(response, body) {
  const said = /** @type {Record<string, unknown>} */ (body && typeof body === "object" ? body : {});
  /** @param {unknown} value */
  const text = (value) => (typeof value === "string" ? value : "");
  const retryAfterS = Number(response.headers.get("retry-after"));
  return new Problem({
    status: response.status,
    code: text(said.code) || "unexpected",
    title: text(said.title) || `The server answered ${response.status}`,
    detail: [text(said.detail), ...fieldErrors(said.errors)].filter(Boolean).join(" "),
    requestId: text(said.request_id) || response.headers.get("x-request-id") || undefined,
    retryAfterS: retryAfterS > 0 ? retryAfterS : undefined,
    challenge: text(said.challenge) || undefined,
  });
}

/** @param {unknown} errors @returns {string[]} */
function fieldErrors(errors) {
  if (!Array.isArray(errors)) return [];
  return errors.map((error) =>
    [error?.field ?? error?.loc?.at?.(-1), error?.message ?? error?.msg].filter(Boolean).join(": "),
  );
}
