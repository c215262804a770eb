/** Devices picked one by one: the live list, searched, with a box before each. Only the rows on the screen exist. */
import { useMemo, useRef, useState } from "react";
import { Button, Checkbox, TextInput } from "@mantine/core";
import { useVirtualizer } from "@tanstack/react-virtual";
import { Icon } from "../../../components/Icon";
import { useLive } from "../../../live";
import { formatCount, naturalKey } from "../../../lib/text";
import { StateMark } from "../../devices/StateMark";
import { haystack, termsOf } from "../../devices/view";
import classes from "./DevicePicker.module.css";

const ROW_HEIGHT = 34;

/** @param {{ ids: number[], problem?: string, onChange: (ids: number[]) => void }} props */
export function DevicePicker({ ids, problem, onChange }) {
  const devices = useLive((state) => state.devices);
  const [text, setText] = useState("");
  const [onlyPicked, setOnlyPicked] = useState(false);
  const picked = useMemo(() => new Set(ids), [ids]);
  const shown = useMemo(() => {
    const terms = termsOf(text);
    return [...devices.values()]
      .filter(
        (device) => (!onlyPicked || picked.has(device.id)) && terms.every((term) => haystack(device).includes(term)),
      )
      .map((device) => ({ device, key: naturalKey(device.device_name) }))
      .sort((a, b) => (a.key < b.key ? -1 : 1))
      .map(({ device }) => device);
  }, [devices, text, onlyPicked, picked]);

  const gone = ids.filter((id) => !devices.has(id)).length;
  const all = shown.length > 0 && shown.every(({ id }) => picked.has(id));

  /** @param {number} id */
  const toggle = (id) => onChange(picked.has(id) ? ids.filter((each) => each !== id) : [...ids, id]);
  function toggleAll() {
    const here = new Set(shown.map(({ id }) => id));
    onChange(all ? ids.filter((id) => !here.has(id)) : [...new Set([...ids, ...here])]);
  }

  return (
    <div className={classes.picker}>
      <div className={classes.tools}>
        <TextInput
          className={classes.search}
          type="search"
          aria-label="Search the devices"
          placeholder="Search name, tag, address…"
          leftSection={<Icon name="search" />}
          value={text}
          onChange={(event) => setText(event.currentTarget.value)}
        />
        <span role="status" data-testid="picked-count">
          {formatCount(ids.length)} picked
        </span>
        <Checkbox
          size="xs"
          label="Only those"
          checked={onlyPicked}
          onChange={(event) => setOnlyPicked(event.currentTarget.checked)}
        />
        <Button size="compact-xs" variant="default" disabled={shown.length === 0} onClick={toggleAll}>
          {all ? "Drop" : "Pick"} all {formatCount(shown.length)}
        </Button>
      </div>
      {shown.length > 0 ? (
        <Rows devices={shown} picked={picked} onToggle={toggle} />
      ) : (
        <p className={classes.none}>{onlyPicked ? "No picked device matches." : "No device matches."}</p>
      )}
      {gone > 0 && (
        <p className={classes.none}>
          {formatCount(gone)} of them {gone === 1 ? "is" : "are"} no longer there.{" "}
          <Button size="compact-xs" variant="default" onClick={() => onChange(ids.filter((id) => devices.has(id)))}>
            Drop
          </Button>
        </p>
      )}
      {problem && (
        <p className={classes.problem} role="alert">
          {problem}
        </p>
      )}
    </div>
  );
}

/** @param {{ devices: import("../../../live/rows").Device[], picked: ReadonlySet<number>, onToggle: (id: number) => void }} props */
function Rows({ devices, picked, onToggle }) {
  const box = useRef(/** @type {HTMLDivElement | null} */ (null));
  // eslint-disable-next-line react-hooks/incompatible-library -- nothing here is memoised by a compiler
  const virtual = useVirtualizer({
    count: devices.length,
    getScrollElement: () => box.current,
    estimateSize: () => ROW_HEIGHT,
    overscan: 8,
    getItemKey: (index) => devices[index].id,
  });
  return (
    <div ref={box} className={classes.rows} role="group" aria-label="Devices">
      <div className={classes.whole} style={{ height: virtual.getTotalSize() }}>
        {virtual.getVirtualItems().map(({ index, start }) => {
          const device = devices[index];
          return (
            <label key={device.id} className={classes.row} style={{ transform: `translateY(${start}px)` }}>
              <input type="checkbox" checked={picked.has(device.id)} onChange={() => onToggle(device.id)} />
              <span className="cut">{device.device_name}</span>
              <span className={classes.platform}>{device.platform}</span>
              <StateMark state={device.trust === "trusted" ? device.status : device.trust} />
            </label>
          );
        })}
      </div>
    </div>
  );
}
