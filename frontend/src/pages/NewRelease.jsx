/** A simple release, made here; for all that this form has no field for there is the command line. */
import { Link, useNavigate } from "@tanstack/react-router";
import { CopyLine } from "../components/CopyLine";
import { Icon } from "../components/Icon";
import { useTitle } from "../components/Page";
import { NewReleaseForm } from "../features/releases/NewReleaseForm";
import classes from "./Runs.module.css";

export function NewRelease() {
  useTitle("New release");
  const navigate = useNavigate();
  return (
    <div className={classes.page}>
      <div>
        <Link to="/releases" className={classes.back}>
          <Icon name="left" size={14} /> Releases
        </Link>
        <h1 className={classes.title}>New release</h1>
      </div>
      <NewReleaseForm onMade={({ id }) => navigate({ to: "/releases/$releaseId", params: { releaseId: id } })} />
      <div className={classes.none}>
        <p>
          For several files, arguments, environments and signatures, write a <code>deployx.yaml</code> and send it from
          a command line:
        </p>
        <CopyLine text="deployx release create deployx.yaml" label="the line that makes a release" />
      </div>
    </div>
  );
}
