/** Which release: the newest of each name, and on request the older ones. */
import { useState } from "react";
import { Button, Skeleton, TextInput } from "@mantine/core";
import { useDebouncedValue } from "@mantine/hooks";
import { Link } from "@tanstack/react-router";
import { Icon } from "../../../components/Icon";
import { ProblemBox } from "../../../components/ProblemBox";
import { Time } from "../../../components/Time";
import { formatBytes, plural } from "../../../lib/text";
import { KINDS, signedWords } from "../../releases/kinds";
import { byName, useReleaseList } from "../../releases/useReleases";
import classes from "./Wizard.module.css";

const TYPED_MS = 250;

/** @typedef {import("../../releases/api").Release} Release */

/** @param {Release} release */
const refOf = ({ name, version }) => `${name}@${version}`;

/** @param {import("./Wizard").StepProps} props */
export function ReleaseStep({ draft, onChange }) {
  const [text, setText] = useState("");
  const [older, setOlder] = useState(/** @type {string | null} */ (null));
  const [q] = useDebouncedValue(text.trim(), TYPED_MS);
  const pages = useReleaseList({ q: q || undefined });
  const names = pages.data && byName(pages.data.pages.flatMap(({ items }) => items));
  const choose = (/** @type {string} */ release) => onChange({ release });

  return (
    <section className={classes.box} aria-label="Which release">
      <h2 className={classes.heading}>Which release</h2>
      <TextInput
        type="search"
        aria-label="Search the releases"
        placeholder="Search name"
        leftSection={<Icon name="search" />}
        value={text}
        onChange={(event) => setText(event.currentTarget.value)}
      />
      {!names ? (
        pages.error ? (
          <ProblemBox error={pages.error} what="The releases cannot be shown." onRetry={() => pages.refetch()} />
        ) : (
          <div role="status" aria-label="Loading the releases">
            <Skeleton height={44} mb={8} />
            <Skeleton height={44} mb={8} />
            <Skeleton height={44} />
          </div>
        )
      ) : names.length === 0 ? (
        <p className="muted">
          {q ? "No release matches." : "There is no release yet."} <Link to="/releases/new">Make one</Link>
        </p>
      ) : (
        <div className={classes.choices} role="radiogroup" aria-label="Releases">
          {names.map(({ newest, older: rest }) => {
            const shown = older === newest.name || rest.some((each) => refOf(each) === draft.release);
            return [newest, ...(shown ? rest : [])].map((release) => (
              <Choice
                key={release.id}
                release={release}
                checked={draft.release === refOf(release) || draft.release === release.sha256}
                onChoose={choose}
              >
                {release === newest && rest.length > 0 && !shown && (
                  <Button size="compact-xs" variant="subtle" onClick={() => setOlder(newest.name)}>
                    {plural(rest.length, "older version")}
                  </Button>
                )}
              </Choice>
            ));
          })}
        </div>
      )}
      {pages.hasNextPage && (
        <Button
          variant="default"
          size="compact-sm"
          loading={pages.isFetchingNextPage}
          onClick={() => pages.fetchNextPage()}
        >
          Show older
        </Button>
      )}
    </section>
  );
}

/** @param {{ release: Release, checked: boolean, onChoose: (release: string) => void, children: import("react").ReactNode }} props */
function Choice({ release, checked, onChoose, children }) {
  const { name, version, kind, platforms, artifacts_bytes, created_at, description } = release;
  return (
    <label className={classes.choice} data-testid="release-choice">
      <input
        type="radio"
        name="release"
        value={refOf(release)}
        checked={checked}
        onChange={() => onChoose(refOf(release))}
      />
      <span className={classes.choiceName}>
        {name} {version}
      </span>
      <span className="muted">
        <Time at={created_at} />
      </span>
      <span className={classes.choiceMore}>
        {KINDS[kind].word.toLowerCase()} · {platforms.join(", ")}
        {artifacts_bytes > 0 && ` · ${formatBytes(artifacts_bytes)}`} · {signedWords(release)}
        {description && ` · ${description}`} {children}
      </span>
    </label>
  );
}
