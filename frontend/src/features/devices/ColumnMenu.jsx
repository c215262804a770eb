/** Which columns the list has. */
import { ActionIcon, Menu, Tooltip } from "@mantine/core";
import { Icon } from "../../components/Icon";
import { COLUMNS, COLUMN_IDS } from "./columns";

/** @param {import("./Toolbar").ViewProps} props */
export function ColumnMenu({ view, onChange }) {
  /** @param {string} id */
  function toggle(id) {
    const shown = view.columns.includes(id);
    if (shown && view.columns.length === 1) return;
    onChange({ columns: COLUMN_IDS.filter((each) => (each === id ? !shown : view.columns.includes(each))) });
  }
  return (
    <Menu closeOnItemClick={false} position="bottom-end" width={200}>
      <Menu.Target>
        <Tooltip label="Columns">
          <ActionIcon variant="default" size={36} aria-label="Columns" visibleFrom="sm">
            <Icon name="columns" />
          </ActionIcon>
        </Tooltip>
      </Menu.Target>
      <Menu.Dropdown>
        {COLUMNS.map(({ id, label }) => {
          const shown = view.columns.includes(id);
          return (
            <Menu.Item
              key={id}
              role="menuitemcheckbox"
              aria-checked={shown}
              rightSection={shown ? <Icon name="trusted" /> : null}
              onClick={() => toggle(id)}
            >
              {label}
            </Menu.Item>
          );
        })}
        <Menu.Divider />
        <Menu.Item onClick={() => onChange({ columns: COLUMN_IDS, widths: {} })}>All columns, usual widths</Menu.Item>
      </Menu.Dropdown>
    </Menu>
  );
}
