/** What this browser remembers: the theme, and how devices that come and go are told. */
import { Radio, Stack, useMantineColorScheme } from "@mantine/core";
import { THEMES } from "../frame/ThemeMenu";
import { useAtom } from "../../lib/atom";
import { noticeMode } from "../../lib/preferences";

export function Appearance() {
  const { colorScheme, setColorScheme } = useMantineColorScheme();
  return (
    <Radio.Group
      label="Theme"
      value={colorScheme}
      onChange={(value) => setColorScheme(/** @type {"light" | "dark" | "auto"} */ (value))}
    >
      <Stack gap={8} mt={8}>
        {THEMES.map(({ value, label }) => (
          <Radio key={value} value={value} label={label} />
        ))}
      </Stack>
    </Radio.Group>
  );
}

export function NoticeSetting() {
  const mode = useAtom(noticeMode);
  return (
    <Radio.Group
      label="When a device comes or goes"
      value={mode}
      onChange={(value) => noticeMode.set(/** @type {import("../../lib/preferences").NoticeMode} */ (value))}
    >
      <Stack gap={8} mt={8}>
        <Radio value="toast" label="Show a notification, and add a line to the list" />
        <Radio value="list" label="Only add a line to the list" />
      </Stack>
    </Radio.Group>
  );
}
