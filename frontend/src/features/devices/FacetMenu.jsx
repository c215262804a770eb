/** One facet: its values with how many devices have each, any number of them chosen. */
import { useMemo, useState } from "react";
import { Button, Checkbox, Popover, Stack } from "@mantine/core";
import { Icon } from "../../components/Icon";
import { useLive } from "../../live";
import { formatCount } from "../../lib/text";
import { STATES } from "./states";
import { facetValues } from "./view";
import classes from "./FacetMenu.module.css";

const LABELS = { status: "Status", trust: "Trust", platform: "Platform", owner: "Owner", tag: "Tag" };

/** @param {string} value */
const wordOf = (value) => /** @type {Record<string, { word: string }>} */ (STATES)[value]?.word ?? value;

/** @param {{ facet: keyof import("./view").Facets, chosen: string[], onChange: (values: string[]) => void }} props */
export function FacetMenu({ facet, chosen, onChange }) {
  const [opened, setOpened] = useState(false);
  const label = LABELS[facet];
  const summary = chosen.length === 1 ? wordOf(chosen[0]) : chosen.length > 1 ? String(chosen.length) : "";
  return (
    <Popover opened={opened} onChange={setOpened} position="bottom-start" trapFocus returnFocus width={240}>
      <Popover.Target>
        <Button
          size="compact-md"
          variant="default"
          className={chosen.length ? classes.active : undefined}
          rightSection={<Icon name="down" size={12} />}
          onClick={() => setOpened(!opened)}
        >
          <span className={classes.label}>
            {label}
            {summary && <b>: {summary}</b>}
          </span>
        </Button>
      </Popover.Target>
      <Popover.Dropdown aria-label={`Filter by ${label.toLowerCase()}`}>
        <Values facet={facet} chosen={chosen} onChange={onChange} />
      </Popover.Dropdown>
    </Popover>
  );
}

/** @param {{ facet: keyof import("./view").Facets, chosen: string[], onChange: (values: string[]) => void }} props */
function Values({ facet, chosen, onChange }) {
  const devices = useLive((state) => state.devices);
  const values = useMemo(() => {
    const found = facetValues(devices.values(), facet);
    const missing = chosen.filter((value) => !found.some((each) => each.value === value));
    return [...found, ...missing.map((value) => ({ value, count: 0 }))];
  }, [devices, facet, chosen]);

  if (values.length === 0) return <span className="muted">Nothing to choose from yet.</span>;
  return (
    <Stack gap={8} className={classes.values}>
      {values.map(({ value, count }) => (
        <Checkbox
          key={value}
          size="sm"
          checked={chosen.includes(value)}
          label={`${wordOf(value)} (${formatCount(count)})`}
          onChange={(event) =>
            onChange(event.currentTarget.checked ? [...chosen, value] : chosen.filter((each) => each !== value))
          }
        />
      ))}
      {chosen.length > 0 && (
        <Button variant="subtle" color="gray" size="compact-xs" onClick={() => onChange([])}>
          Show all
        </Button>
      )}
    </Stack>
  );
}
