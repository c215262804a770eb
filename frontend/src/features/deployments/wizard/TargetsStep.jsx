/** Where: devices that a selector describes, or picked ones; beside it whom that reaches, and whom not and why. */
import { Checkbox } from "@mantine/core";
import { GroupsMenu } from "../../groups/GroupsMenu";
import { groupSelector } from "../../groups/selectorText";
import { Where } from "../../runs/compose/Where";
import { Reached } from "./Reached";
import classes from "./Wizard.module.css";

/** @param {import("./Wizard").StepProps} props */
export function TargetsStep(props) {
  return (
    <div className={classes.two}>
      <TargetsBox {...props} />
      <aside className={classes.box} aria-label="Whom it reaches">
        <h2 className={classes.heading}>Whom it reaches</h2>
        {props.refused ? (
          <p className="muted">Mend the selector; here you see whom it reaches.</p>
        ) : (
          <Reached state={props.preview} />
        )}
      </aside>
    </div>
  );
}

/** @param {import("./Wizard").StepProps} props */
export function TargetsBox({ draft, problems, refused, preview, onChange }) {
  const ready = refused === null && !preview.behind;
  const members =
    draft.by === "devices"
      ? draft.ids.length > 0
        ? { device_ids: draft.ids }
        : null
      : draft.selector.trim()
        ? { selector: draft.selector.trim() }
        : null;
  return (
    <section className={classes.box} aria-label="Where">
      <div className={classes.boxHead}>
        <h2 className={classes.heading}>Which devices get it</h2>
        <GroupsMenu
          members={ready ? members : null}
          onTake={(name) => onChange({ by: "selector", selector: groupSelector(name) })}
        />
      </div>
      <Where
        draft={/** @type {any} */ (draft)}
        problems={/** @type {any} */ (problems)}
        refused={refused}
        onChange={/** @type {any} */ (onChange)}
      />
      {draft.by === "selector" && (
        <Checkbox
          label="Devices that meet it later get the release as well"
          description="For as long as the deployment runs."
          checked={draft.following}
          onChange={(event) => onChange({ following: event.currentTarget.checked })}
        />
      )}
    </section>
  );
}
