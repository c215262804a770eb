/** Above the list: search, facets, what is saved, which columns, and the way to a new device. */
import { useEffect, useRef, useState } from "react";
import { Button, TextInput } from "@mantine/core";
import { Link } from "@tanstack/react-router";
import { Icon } from "../../components/Icon";
import { useKeys } from "../../lib/useKeys";
import { ColumnMenu } from "./ColumnMenu";
import { FacetMenu } from "./FacetMenu";
import { SavedViews } from "./SavedViews";
import { FACETS, isFiltered } from "./view";
import classes from "./Toolbar.module.css";

/** @typedef {{ view: import("./view").View, onChange: (change: Partial<import("./view").View>) => void }} ViewProps */

export const NO_FILTERS = { q: "", status: [], trust: [], platform: [], owner: [], tag: [] };

/** @param {ViewProps} props */
export function Toolbar({ view, onChange }) {
  return (
    <div className={classes.toolbar} role="search" aria-label="Devices">
      <SearchField q={view.q} onChange={onChange} />
      <div className={classes.facets}>
        {FACETS.map((facet) => (
          <FacetMenu
            key={facet}
            facet={facet}
            chosen={view[facet]}
            onChange={(values) => onChange({ [facet]: values })}
          />
        ))}
        {isFiltered(view) && (
          <Button variant="subtle" color="gray" size="compact-sm" onClick={() => onChange(NO_FILTERS)}>
            Clear filters
          </Button>
        )}
      </div>
      <div className={classes.right}>
        <SavedViews />
        <ColumnMenu view={view} onChange={onChange} />
        <Button component={Link} to="/add-device" size="sm" leftSection={<Icon name="plus" />}>
          <span className={classes.add}>Add device</span>
        </Button>
      </div>
    </div>
  );
}

/** The field answers each key at once; the address follows. @param {{ q: string, onChange: ViewProps["onChange"] }} props */
function SearchField({ q, onChange }) {
  const [text, setText] = useState(q);
  const [known, setKnown] = useState(q);
  const field = useRef(/** @type {HTMLInputElement | null} */ (null));
  useKeys({ "/": () => field.current?.focus() });

  if (q !== known) {
    setKnown(q); // the address changed from elsewhere: a saved view, the back button
    setText(q);
  }

  useEffect(() => {
    if (text === known) return undefined;
    const timer = setTimeout(() => {
      setKnown(text);
      onChange({ q: text });
    }, 60);
    return () => clearTimeout(timer);
  }, [text, known, onChange]);

  return (
    <TextInput
      ref={field}
      className={classes.search}
      type="search"
      aria-label="Search devices"
      placeholder="Search name, address, tag…"
      leftSection={<Icon name="search" />}
      value={text}
      onChange={(event) => setText(event.currentTarget.value)}
      onKeyDown={(event) => event.key === "Escape" && (text ? setText("") : event.currentTarget.blur())}
    />
  );
}
