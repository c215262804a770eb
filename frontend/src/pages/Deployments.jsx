/** The history of deployments, live. The filter is in the address. */
import { Button, SegmentedControl } from "@mantine/core";
import { Link, useNavigate, useSearch } from "@tanstack/react-router";
import { Icon } from "../components/Icon";
import { OffButton } from "../components/OffButton";
import { useTitle } from "../components/Page";
import { DeploymentList } from "../features/deployments/DeploymentList";
import { ACTIVE } from "../features/deployments/states";
import { useActOff } from "../features/devices/useActOff";
import classes from "./Runs.module.css";

/** @typedef {import("../features/deployments/states").DeploymentState} State */

const WHICH = [
  { value: "", label: "All" },
  { value: "active", label: "Active" },
  { value: "waiting", label: "To approve" },
  { value: "failed", label: "Went wrong" },
];

/** @type {Record<string, readonly State[]>} */
const STATES = {
  active: ACTIVE,
  waiting: ["awaiting_approval"],
  failed: ["failed", "rolled_back", "aborted", "rejected"],
};

export function Deployments() {
  useTitle("Deployments");
  const { state, name } = /** @type {{ state?: string, name?: string }} */ (useSearch({ strict: false }));
  const navigate = useNavigate();
  const off = useActOff();

  /** @param {{ state?: string, name?: string }} change */
  const change = (change) =>
    void navigate({ to: "/deployments", search: (/** @type {any} */ now) => ({ ...now, ...change }), replace: true });

  return (
    <div className={classes.page}>
      <div className={classes.head}>
        <h1 className={classes.title}>Deployments</h1>
        <OffButton off={off} leftSection={<Icon name="deploy" />} onClick={() => navigate({ to: "/deployments/new" })}>
          Deploy a release
        </OffButton>
      </div>
      <div className={classes.tools}>
        {name && (
          <Button
            variant="light"
            rightSection={<Icon name="close" size={12} />}
            aria-label={`Of ${name} only: show all releases`}
            onClick={() => change({ name: undefined })}
          >
            Of {name}
          </Button>
        )}
        <SegmentedControl
          className={classes.states}
          aria-label="Which deployments"
          data={WHICH}
          value={state && state in STATES ? state : ""}
          onChange={(value) => change({ state: value || undefined })}
        />
      </div>
      <DeploymentList
        filter={{ state: STATES[state ?? ""], name }}
        none={state || name ? <NoMatch onClear={() => change({ state: undefined, name: undefined })} /> : <First />}
      />
    </div>
  );
}

/** @param {{ onClear: () => void }} props */
function NoMatch({ onClear }) {
  return (
    <div className={classes.none}>
      <p>No deployment matches.</p>
      <Button variant="default" size="compact-md" onClick={onClear}>
        Show all deployments
      </Button>
    </div>
  );
}

function First() {
  return (
    <div className={classes.none} data-testid="first-deployment">
      <h2>Nothing was deployed yet</h2>
      <p>
        A deployment brings a release to devices wave by wave: first one, then a few, then all. It stops, or undoes
        itself, when too many fail, and each device checks that what it got is healthy.
      </p>
      <ol>
        <li>
          Have a release: <Link to="/releases">make one</Link> from a file, an archive, a package or a script.
        </li>
        <li>
          Say where: pick devices, or describe them, such as <code>platform=linux,role in (web,db)</code>.
        </li>
        <li>
          Say how: waves such as <code>1, 10%, 50%, 100%</code>, and how long each has to be healthy.
        </li>
      </ol>
      <p>
        <Link to="/deployments/new">Deploy your first release</Link>
      </p>
    </div>
  );
}
