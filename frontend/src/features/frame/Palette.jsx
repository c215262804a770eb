/** The palette: any device, page or action by its name. */
import { useEffect, useMemo } from "react";
import { useMantineColorScheme } from "@mantine/core";
import { Spotlight, createSpotlight } from "@mantine/spotlight";
import { useNavigate } from "@tanstack/react-router";
import { Icon } from "../../components/Icon";
import { store, useLive } from "../../live";
import { useAtom } from "../../lib/atom";
import { plural } from "../../lib/text";
import { STATES, COUNTERS } from "../devices/states";
import { findDevices } from "./findDevices";
import { helpOpened, paletteOwed, paletteText } from "./paletteState";
import { usePlaces } from "./places";
import { THEMES } from "./ThemeMenu";
import "@mantine/spotlight/styles.css";
import classes from "./Palette.module.css";

const [opening, { open, close }] = createSpotlight();

function useActions() {
  const navigate = useNavigate();
  const { setColorScheme } = useMantineColorScheme();
  const places = usePlaces();
  return useMemo(
    () => [
      ...places.map(({ to, label, icon }) => ({ label, group: "Pages", icon, run: () => navigate({ to }) })),
      { label: "Run a command…", group: "Actions", icon: "play", run: () => navigate({ to: "/runs/new" }) },
      { label: "Deploy a release…", group: "Actions", icon: "deploy", run: () => navigate({ to: "/deployments/new" }) },
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
    [navigate, places, setColorScheme],
  );
}

/** @param {{ onClose: () => void }} props */
export default function Palette({ onClose }) {
  const navigate = useNavigate();
  const query = useAtom(paletteText);
  const owed = useAtom(paletteOwed);
  useEffect(open, []);
  const counts = useLive((state) => state.counts);
  const known = useLive((state) => state.snapshots > 0);
  const { found, total } = useMemo(
    () => findDevices(query, counts.total ? store.get().devices : new Map()),
    [query, counts],
  );
  const actions = useActions().filter(({ label }) => label.toLowerCase().includes(query.trim().toLowerCase()));

  /** @param {import("../../live/rows").Device} device */
  const show = ({ id }) => void navigate({ to: "/devices/$deviceId", params: { deviceId: String(id) } });

  const first = found.length > 0 ? () => show(found[0]) : actions[0]?.run;
  useEffect(() => {
    if (owed === null || !known) return;
    paletteOwed.set(null);
    if (owed !== query || !first) return; // it was typed on, or nothing has this name
    close();
    onClose(); // where it opens and closes at once, nothing else tells
    void first();
  });

  /** Where no entry is marked, Enter means the first one, as soon as there is one. @param {import("react").KeyboardEvent} event */
  function onKeyDown(event) {
    if (event.key !== "Enter" || event.nativeEvent.isComposing) return;
    if (!event.currentTarget.closest("[role=dialog]")?.querySelector("[data-selected]")) paletteOwed.set(query);
  }

  return (
    <Spotlight.Root
      store={opening}
      query={query}
      onQueryChange={paletteText.set}
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
        onKeyDown={onKeyDown}
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
                onClick={() => show(device)}
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
        {found.length === 0 && actions.length === 0 && (
          <Spotlight.Empty>{known ? "Nothing has this name." : "The devices are on their way."}</Spotlight.Empty>
        )}
      </Spotlight.ActionsList>
    </Spotlight.Root>
  );
}
