/** The palette: any device, page or action by its name. */
import { useDeferredValue, useEffect, useMemo, useState } from "react";
import { useMantineColorScheme } from "@mantine/core";
import { Spotlight, createSpotlight } from "@mantine/spotlight";
import { useNavigate } from "@tanstack/react-router";
import { Icon } from "../../components/Icon";
import { store, useLive } from "../../live";
import { naturalKey, plural } from "../../lib/text";
import { STATES, COUNTERS } from "../devices/states";
import { haystack, termsOf } from "../devices/view";
import { helpOpened } from "./paletteState";
import { THEMES } from "./ThemeMenu";
import "@mantine/spotlight/styles.css";
import classes from "./Palette.module.css";

const MOST_DEVICES = 8;
const [opening, { open }] = createSpotlight();

/** @param {string} text @param {ReadonlyMap<number, import("../../live/rows").Device>} devices names that begin with the text come first */
function findDevices(text, devices) {
  const terms = termsOf(text);
  if (terms.length === 0) return { found: [], total: 0 };
  const found = [...devices.values()].filter((device) => terms.every((term) => haystack(device).includes(term)));
  /** @param {import("../../live/rows").Device} device */
  const rank = (device) => (device.device_name.toLowerCase().startsWith(terms[0]) ? 0 : 1);
  const sorted = found.sort(
    (a, b) => rank(a) - rank(b) || (naturalKey(a.device_name) < naturalKey(b.device_name) ? -1 : 1),
  );
  return { found: sorted.slice(0, MOST_DEVICES), total: found.length };
}

function useActions() {
  const navigate = useNavigate();
  const { setColorScheme } = useMantineColorScheme();
  return useMemo(
    () => [
      { label: "Devices", group: "Pages", icon: "devices", run: () => navigate({ to: "/" }) },
      { label: "Runs", group: "Pages", icon: "terminal", run: () => navigate({ to: "/runs" }) },
      { label: "Settings", group: "Pages", icon: "settings", run: () => navigate({ to: "/settings" }) },
      { label: "Run a command…", group: "Actions", icon: "play", run: () => navigate({ to: "/runs/new" }) },
      { label: "Add device", group: "Actions", icon: "plus", run: () => navigate({ to: "/add-device" }) },
      ...COUNTERS.map(({ name, facet }) => ({
        label: `Show ${STATES[name].word.toLowerCase()} devices`,
        group: "Actions",
        icon: name,
        run: () => navigate({ to: "/", search: { [facet]: name } }),
      })),
      ...THEMES.map(({ value, label, icon }) => ({
        label: `Theme: ${label}`,
        group: "Actions",
        icon,
        run: () => setColorScheme(value),
      })),
      { label: "Keyboard shortcuts", group: "Actions", icon: "help", run: () => helpOpened.set(true) },
    ],
    [navigate, setColorScheme],
  );
}

/** Enter opens the first match where none is marked yet: the list follows the text a little later. @param {import("react").KeyboardEvent} event */
function openFirst(event) {
  if (event.key !== "Enter") return;
  const dialog = event.currentTarget.closest("[role=dialog]");
  if (dialog?.querySelector("[data-selected]")) return;
  /** @type {HTMLElement | null | undefined} */ (dialog?.querySelector("[data-action]"))?.click();
}

/** @param {{ onClose: () => void }} props */
export default function Palette({ onClose }) {
  const navigate = useNavigate();
  const [query, setQuery] = useState("");
  const wanted = useDeferredValue(query);
  useEffect(open, []);
  const counts = useLive((state) => state.counts);
  const { found, total } = useMemo(
    () => findDevices(wanted, counts.total ? store.get().devices : new Map()),
    [wanted, counts],
  );
  const actions = useActions().filter(({ label }) => label.toLowerCase().includes(wanted.trim().toLowerCase()));

  return (
    <Spotlight.Root
      store={opening}
      query={query}
      onQueryChange={setQuery}
      onSpotlightClose={onClose}
      shortcut={null}
      tagsToIgnore={[]}
      attributes={{ content: { "aria-label": "Find a device, page or action" } }}
      overlayProps={{ blur: 0 }}
      scrollable
      maxHeight={420}
    >
      <Spotlight.Search
        placeholder="Find a device, page or action"
        aria-label="Find a device, page or action"
        leftSection={<Icon name="search" />}
        onKeyDown={openFirst}
      />
      <Spotlight.ActionsList>
        {found.length > 0 && (
          <Spotlight.ActionsGroup
            className={classes.group}
            label={total > found.length ? `Devices (${plural(total, "match", "matches")})` : "Devices"}
          >
            {found.map((device) => (
              <Spotlight.Action
                key={device.id}
                label={device.device_name}
                description={`${STATES[device.status].word} · ${device.hostname} · ${device.ip_address}`}
                leftSection={
                  <span className={classes.mark} style={{ color: `var(--state-${device.status})` }}>
                    <Icon name={device.status} />
                  </span>
                }
                onClick={() => navigate({ to: "/devices/$deviceId", params: { deviceId: String(device.id) } })}
              />
            ))}
          </Spotlight.ActionsGroup>
        )}
        {["Pages", "Actions"].map((group) => {
          const inGroup = actions.filter((action) => action.group === group);
          if (inGroup.length === 0) return null;
          return (
            <Spotlight.ActionsGroup className={classes.group} key={group} label={group}>
              {inGroup.map(({ label, icon, run }) => (
                <Spotlight.Action key={label} label={label} leftSection={<Icon name={icon} />} onClick={run} />
              ))}
            </Spotlight.ActionsGroup>
          );
        })}
        {found.length === 0 && actions.length === 0 && <Spotlight.Empty>Nothing has this name.</Spotlight.Empty>}
      </Spotlight.ActionsList>
    </Spotlight.Root>
  );
}
