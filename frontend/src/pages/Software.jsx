/** What is installed on the devices, and which of them have it. The query is in the address. */
import { useState } from "react";
import { Button, TextInput } from "@mantine/core";
import { Link, useNavigate, useSearch } from "@tanstack/react-router";
import { Icon } from "../components/Icon";
import { useTitle } from "../components/Page";
import { Found } from "../features/software/Found";
import classes from "./Runs.module.css";

/** @typedef {{ q?: string, tab?: string }} Search */

export function Software() {
  useTitle("Software");
  const { q = "", tab = "devices" } = /** @type {Search} */ (useSearch({ strict: false }));
  const navigate = useNavigate();
  /** @param {Search} change */
  const change = (change) =>
    void navigate({ to: "/software", search: (/** @type {any} */ now) => ({ ...now, ...change }) });
  return (
    <div className={classes.page}>
      <div>
        <Link to="/" className={classes.back}>
          <Icon name="left" size={14} /> Devices
        </Link>
        <h1 className={classes.title}>Software</h1>
      </div>
      <Search key={q} q={q} onSearch={(q) => change({ q: q || undefined })} />
      <Found q={q} tab={tab} onTab={(tab) => change({ tab: tab === "devices" ? undefined : tab })} />
    </div>
  );
}

/** @param {{ q: string, onSearch: (q: string) => void }} props */
function Search({ q, onSearch }) {
  const [text, setText] = useState(q);
  return (
    <form
      role="search"
      className={classes.tools}
      onSubmit={(event) => {
        event.preventDefault();
        onSearch(text.trim());
      }}
    >
      <TextInput
        className={classes.search}
        type="search"
        aria-label="Package, and what its version is compared with"
        placeholder="openssl<3.0.13"
        leftSection={<Icon name="search" />}
        spellCheck={false}
        autoCapitalize="none"
        maxLength={500}
        value={text}
        onChange={(event) => setText(event.currentTarget.value)}
      />
      <Button type="submit" variant="default">
        Search
      </Button>
    </form>
  );
}
