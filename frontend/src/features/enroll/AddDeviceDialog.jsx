/** Adds a machine: a token, one line to copy, and the wait for it. */
import { useState } from "react";
import { Button, Group, Modal } from "@mantine/core";
import { CopyLine } from "../../components/CopyLine";
import { useMayAct } from "../auth/session";
import { plural } from "../../lib/text";
import { Time } from "../../components/Time";
import { EnrollForm } from "./EnrollForm";
import EnrollProgress from "./EnrollProgress";
import { InstallAgent } from "./InstallAgent";
import { lineOf } from "./tokens";
import classes from "./Enroll.module.css";

/** @param {{ onClose: () => void }} props */
export function AddDeviceDialog({ onClose }) {
  const [token, setToken] = useState(/** @type {import("./tokens").NewToken | null} */ (null));
  const mayAct = useMayAct();
  return (
    <Modal opened onClose={onClose} title="Add device" size={640} closeButtonProps={{ "aria-label": "Close" }}>
      {!mayAct && (
        <p className={classes.intro}>Your role may look, but not add devices. Ask an operator or administrator.</p>
      )}
      {mayAct && !token && <EnrollForm onMade={setToken} onCancel={onClose} />}
      {token && <Line token={token} onClose={onClose} onAnother={() => setToken(null)} />}
    </Modal>
  );
}

/** @param {{ token: import("./tokens").NewToken, onClose: () => void, onAnother: () => void }} props */
function Line({ token, onClose, onAnother }) {
  return (
    <div className={classes.form}>
      <p className={classes.intro}>
        Run this line on {token.max_uses === 1 ? "the machine" : "each machine"}. It is shown this once, is good for{" "}
        {plural(token.max_uses, "machine")}, and expires <Time at={token.expires_at} />.
      </p>
      <CopyLine text={lineOf(token)} label="the line that adds the machine" testId="enroll-line" />
      <details className={classes.more}>
        <summary>The agent is not installed there yet</summary>
        <InstallAgent />
        <p>
          To have it start with the machine, run <code className="mono">deployx-agent install-service</code> there as
          root.
        </p>
      </details>
      <EnrollProgress token={token} />
      <Group justify="flex-end" gap="sm">
        <Button variant="default" onClick={onAnother}>
          Add another
        </Button>
        <Button onClick={onClose}>Done</Button>
      </Group>
    </div>
  );
}
