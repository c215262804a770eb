import { render, screen } from "@testing-library/react";
import { describe, expect, it } from "vitest";
import { device } from "../../test-support";
import { Policy, Told } from "./Policy";

/** @type {import("./Policy").DevicePolicy} */
const POLICY = {
  there: true,
  file: "/etc/deployx-agent/policy.toml",
  sha256: "a".repeat(64),
  error: "",
  stop: "",
  may: ["Pass on runs that are signed by ada."],
  may_not: ["Run lines of the shell.", "Run scripts."],
  operators: [{ name: "ada", key_id: "0".repeat(32), until: null }],
};

describe("what a device lets its server do", () => {
  it("says what the server may and may not, and whose signatures count", () => {
    render(<Told policy={POLICY} />);
    expect(screen.getAllByRole("listitem").map((item) => item.textContent)).toEqual([
      "Pass on runs that are signed by ada.",
      "Run lines of the shell.",
      "Run scripts.",
    ]);
    expect(screen.getByText("ada signs with").nextElementSibling?.textContent).toBe("0".repeat(32));
    expect(screen.getByText("/etc/deployx-agent/policy.toml")).toBeTruthy();
  });

  it("says that nothing runs where the policy cannot be used, or somebody has stopped all work", () => {
    const broken = { ...POLICY, may: [], may_not: [], operators: [], error: "It is damaged.", stop: "/etc/x/stop" };
    render(<Told policy={broken} />);
    expect(screen.getByText("Nothing runs on this device. It is damaged.")).toBeTruthy();
    expect(screen.getByText(/All work is stopped by the file/).textContent).toContain("/etc/x/stop");
    expect(screen.queryByText("This server may")).toBeNull();
  });

  it("says that a device without one trusts its server; one without a key gets no work", () => {
    const { rerender } = render(<Policy device={device({ keyed: true })} />);
    expect(screen.getByText("This device has no policy: it does whatever this server says.")).toBeTruthy();
    rerender(<Policy device={device({ keyed: false })} />);
    expect(screen.queryByText("Policy")).toBeNull();
  });
});
