/** Before there is any device: the three steps to the first one. */
import { CopyLine } from "../../components/CopyLine";
import { OffButton } from "../../components/OffButton";
import { ProblemBox } from "../../components/ProblemBox";
import { useMayAct } from "../auth/session";
import { useActOff } from "../devices/useActOff";
import EnrollProgress from "./EnrollProgress";
import { InstallAgent } from "./InstallAgent";
import { lineOf } from "./tokens";
import { useCreateToken } from "./useCreateToken";
import classes from "./Enroll.module.css";

const FIRST = { name: "First device", max_uses: 1, expires_in_s: 86_400 };

/** @param {{ token: import("./tokens").NewToken | null, onToken: (token: import("./tokens").NewToken) => void }} props */
export default function FirstDevice({ token, onToken }) {
  const off = useActOff();
  const mayAct = useMayAct();
  const create = useCreateToken(onToken);
  return (
    <section className={classes.first} aria-label="Add your first device" data-testid="empty-state">
      <h2 className={classes.title}>{mayAct ? "Add your first device" : "There is no device yet"}</h2>
      <p className={classes.intro}>
        {mayAct
          ? "A device is any machine that runs the DeployX agent. It calls this server, so nothing has to be opened towards it."
          : "Your role may look, but not add devices. Ask an operator or administrator."}
      </p>
      {mayAct && (
        <ol className={classes.steps}>
          <li className={classes.step}>
            <h3>Install the agent</h3>
            <InstallAgent />
          </li>
          <li className={classes.step}>
            <h3>Run this line there</h3>
            {token ? (
              <>
                <p>
                  It is shown this once, is good for 1 machine and for 1 day, and keeps the machine connected while it
                  runs.
                </p>
                <CopyLine text={lineOf(token)} label="the line that adds the machine" testId="enroll-line" />
              </>
            ) : (
              <>
                <p>It holds a secret that admits one machine within one day.</p>
                <OffButton off={off} loading={create.isPending} onClick={() => create.mutate(FIRST)}>
                  Create the line
                </OffButton>
              </>
            )}
            {create.error && <ProblemBox error={create.error} what="No line was made." />}
          </li>
          <li className={classes.step}>
            <h3>See it come online</h3>
            {token ? <EnrollProgress token={token} /> : <p>It appears here by itself, as soon as it has connected.</p>}
          </li>
        </ol>
      )}
    </section>
  );
}
