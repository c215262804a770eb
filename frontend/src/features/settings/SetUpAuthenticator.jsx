/** Tells an authenticator the secret, and waits for a code of it. */
import { useState } from "react";
import { Button } from "@mantine/core";
import { useMutation } from "@tanstack/react-query";
import { CopyLine } from "../../components/CopyLine";
import { OffButton } from "../../components/OffButton";
import { ProblemBox } from "../../components/ProblemBox";
import { useActionsOff } from "../../live";
import { CodeInput } from "../auth/CodeInput";
import { confirmSetup } from "../auth/twoFactor";
import classes from "./TwoFactor.module.css";

/**
 * @param {{ setup: import("../auth/twoFactor").Setup, onDone: (codes: string[]) => void, onCancel: () => void }} props
 */
export function SetUpAuthenticator({ setup, onDone, onCancel }) {
  const off = useActionsOff();
  const [code, setCode] = useState("");
  const confirm = useMutation({
    mutationFn: () => confirmSetup(code),
    onSuccess: ({ codes }) => onDone(codes),
    onError: () => setCode(""),
  });
  const { size, path } = setup.qr;
  return (
    <div className={classes.setup}>
      <svg className={classes.qr} viewBox={`0 0 ${size} ${size}`} role="img" aria-label="QR code of the key">
        <rect width={size} height={size} fill="#fff" />
        <path d={path} fill="#000" shapeRendering="crispEdges" />
      </svg>
      <form
        className={classes.steps}
        onSubmit={(event) => {
          event.preventDefault();
          confirm.mutate();
        }}
      >
        <p>Scan this with an authenticator app, or give it this key:</p>
        <CopyLine text={setup.secret.replace(/(.{4})(?=.)/g, "$1 ")} label="the key" testId="totp-secret" />
        <CodeInput value={code} onChange={setCode} description="What the app shows then" />
        <div className={classes.buttons}>
          <OffButton type="submit" off={off} loading={confirm.isPending}>
            Turn on
          </OffButton>
          <Button variant="default" onClick={onCancel}>
            Cancel
          </Button>
        </div>
        {confirm.error && <ProblemBox error={confirm.error} what="It is not on yet." />}
      </form>
    </div>
  );
}
