/** The run box: what, where, how; beside it whom that reaches, and the button that starts it. */
import { useRef, useState } from "react";
import { useMutation } from "@tanstack/react-query";
import { ConfirmDialog, TYPE_ABOVE } from "../../../components/ConfirmDialog";
import { Icon } from "../../../components/Icon";
import { OffButton } from "../../../components/OffButton";
import { ProblemBox } from "../../../components/ProblemBox";
import { listNames, plural } from "../../../lib/text";
import { useAtom } from "../../../lib/atom";
import { Problem } from "../../../lib/problem";
import { useActOff } from "../../devices/useActOff";
import { GroupsMenu } from "../../groups/GroupsMenu";
import { groupSelector } from "../../groups/selectorText";
import { startRun } from "../api";
import { newKey } from "../keys";
import { Advanced } from "./Advanced";
import { requestOf, targetsOf } from "./draft";
import { changeDraft, draft as draftAtom } from "./draftState";
import { Preview, previewWords } from "./Preview";
import { SavedCommands } from "./SavedCommands";
import { usePreview } from "./usePreview";
import { What } from "./What";
import { Where } from "./Where";
import classes from "./Compose.module.css";

/** The server's word on the selector belongs under its field. @param {unknown} error */
const refusalOf = (error) => (error instanceof Problem && /selector|group/.test(error.code) ? error : null);

/** @param {{ onStarted: (run: import("../../../live/runs").Run) => void }} props */
export function ComposeForm({ onStarted }) {
  const draft = useAtom(draftAtom);
  const [tried, setTried] = useState(false);
  const [asking, setAsking] = useState(false);
  const { request, problems } = requestOf(draft);
  const state = usePreview(draft);
  const { preview } = state;
  const refused = state.behind ? null : refusalOf(state.error);
  const key = useRef({ of: "", key: "" });
  const off = useActOff();
  const start = useMutation({
    mutationFn: (/** @type {import("../api").RunRequest} */ body) => {
      const of = JSON.stringify(body);
      if (key.current.of !== of) key.current = { of, key: newKey() };
      return startRun(body, key.current.key);
    },
    onSuccess: (run) => {
      key.current = { of: "", key: "" };
      onStarted(run);
    },
    onSettled: () => setAsking(false),
  });

  const ready = request && preview && preview.total > 0 && !state.behind && !state.error;
  const shown = tried ? problems : {};

  /** @param {import("react").FormEvent} event */
  function submit(event) {
    event.preventDefault();
    setTried(true);
    if (!ready || off || start.isPending) return;
    if (preview.total > TYPE_ABOVE) setAsking(true);
    else start.mutate(request);
  }

  const parts = { draft, problems: shown, onChange: changeDraft };
  return (
    <form className={classes.form} onSubmit={submit} noValidate>
      <div className={classes.left}>
        <section className={classes.section} aria-label="What">
          <div className={classes.head}>
            <h2 className={classes.heading}>What</h2>
            <SavedCommands draft={draft} onChange={changeDraft} />
          </div>
          <What {...parts} />
        </section>
        <section className={classes.section} aria-label="Where">
          <div className={classes.head}>
            <h2 className={classes.heading}>Where</h2>
            <GroupsMenu
              members={refused || state.behind ? null : targetsOf(draft)}
              onTake={(name) => changeDraft({ by: "selector", selector: groupSelector(name) })}
            />
          </div>
          <Where {...parts} refused={refused} />
        </section>
        <section className={classes.section} aria-label="How">
          <Advanced {...parts} />
        </section>
      </div>
      <aside className={classes.right} aria-label="Preview">
        <h2 className={classes.heading}>Whom it reaches</h2>
        {refused ? (
          <p className="muted">Mend the selector; here you see whom it reaches.</p>
        ) : (
          <Preview state={state} expires={draft.expires} />
        )}
        {start.error && <ProblemBox error={start.error} what="It was not started." />}
        <OffButton
          type="submit"
          off={off}
          fullWidth
          loading={start.isPending || (request !== null && state.behind)} // what it says is being looked up
          leftSection={<Icon name="play" />}
          data-testid="start-run"
        >
          {preview && preview.total > 0 ? `Run on ${plural(preview.total, "device")}` : "Run"}
        </OffButton>
        {tried && !ready && Object.keys(problems).length > 0 && (
          <p className={classes.problem} role="alert">
            {Object.values(problems)[0]}
          </p>
        )}
      </aside>
      <ConfirmDialog
        opened={asking}
        title={`Run on ${plural(preview?.total ?? 0, "device")}`}
        action={`Run on ${plural(preview?.total ?? 0, "device")}`}
        count={preview?.total ?? 0}
        color="accent"
        busy={start.isPending}
        onClose={() => setAsking(false)}
        onConfirm={() => request && start.mutate(request)}
      >
        {preview && (
          <p className={classes.words}>
            {previewWords(preview, draft.expires)} Among them{" "}
            <b>{listNames(preview.devices.map(({ device_name }) => device_name).slice(0, 6), 6)}</b>.
          </p>
        )}
      </ConfirmDialog>
    </form>
  );
}
