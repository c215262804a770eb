/** Whatever went wrong, the reader gets what, why, what to do, and an id to report. */
import { describe, expect, it } from "vitest";
import { Problem, asProblem, problemFrom, unreachable } from "./problem";

/** @param {number} status @param {Record<string, string>} [headers] */
const answer = (status, headers = {}) => new Response(null, { status, headers });

describe("an answer that says no", () => {
  it("is read from application/problem+json", () => {
    const problem = problemFrom(answer(409), {
      status: 409,
      code: "illegal_transition",
      title: "Conflict",
      detail: "This device is trusted, not pending.",
      request_id: "abc",
    });
    expect(problem).toMatchObject({
      name: "Problem",
      status: 409,
      code: "illegal_transition",
      title: "Conflict",
      detail: "This device is trusted, not pending.",
      message: "This device is trusted, not pending.",
      requestId: "abc",
    });
  });

  it("names the fields that are wrong, whoever found them", () => {
    const ours = problemFrom(answer(422), {
      detail: "Check these.",
      errors: [{ field: "name", message: "is too long" }],
    });
    expect(ours.detail).toBe("Check these. name: is too long");
    const theirs = problemFrom(answer(422), {
      errors: [{ loc: ["body", "email"], msg: "is missing" }, { message: "no field" }],
    });
    expect(theirs.detail).toBe("email: is missing no field");
  });

  it("says how long to wait", () => {
    expect(problemFrom(answer(429, { "retry-after": "7" }), {}).retryAfterS).toBe(7);
    expect(problemFrom(answer(429, { "retry-after": "soon" }), {}).retryAfterS).toBeUndefined();
    expect(problemFrom(answer(429), {}).retryAfterS).toBeUndefined();
  });

  it.each([undefined, null, "", "<html>Bad gateway</html>", 7, [], { code: 1, title: {}, detail: [], errors: "no" }])(
    "is a problem even when its body is %j",
    (body) => {
      const problem = problemFrom(answer(502, { "x-request-id": "from-the-header" }), body);
      expect(problem).toMatchObject({
        status: 502,
        code: "unexpected",
        title: "The server answered 502",
        detail: "",
        message: "The server answered 502",
        requestId: "from-the-header",
      });
    },
  );
});

describe("what to do", () => {
  it.each([
    [0, "unreachable", "reaches it"],
    [403, "anything", "Ask an administrator"],
    [404, "anything", "Go back to the list"],
    [412, "anything", "Look at the new values"],
    [412, "precondition_failed", "Look at the new values"],
    [429, "too_many_attempts", "Wait before"],
    [422, "invalid_input", "Change what you entered"],
    [500, "anything", "give the request id"],
    [503, "unavailable", "Try again."],
  ])("about %i %s is one sentence with %s", (status, code, part) => {
    const { whatToDo } = new Problem({ status, code, title: "t", detail: "" });
    expect(whatToDo).toContain(part);
    expect(whatToDo).toMatch(/\.$/);
  });
});

describe("anything thrown", () => {
  it("is left alone when it is a problem", () => {
    const problem = unreachable();
    expect(asProblem(problem)).toBe(problem);
    expect(problem).toMatchObject({ status: 0, code: "unreachable" });
  });

  it("is the dashboard's fault otherwise", () => {
    expect(asProblem(new TypeError("x is undefined"))).toMatchObject({
      code: "dashboard_error",
      detail: "x is undefined",
    });
    expect(asProblem("odd")).toMatchObject({ code: "dashboard_error", detail: "odd" });
  });
});
