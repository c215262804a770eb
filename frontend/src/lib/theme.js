/**
 * Mantine's theme. One accent; state colours are CSS variables in `global.css`, the same everywhere.
 * Every text and background pair here has a contrast of at least 4.5 : 1, which Mantine's defaults have not.
 */
import { createTheme } from "@mantine/core";

/** @type {import("@mantine/core").MantineColorsTuple} */
const accent = [
  "#eef3ff",
  "#dbe5fd",
  "#b5c8f8",
  "#8ba9f3",
  "#6a8fee",
  "#4a74e0",
  "#2f5bd3",
  "#264cb6",
  "#1f3f98",
  "#17317a",
];

/** @type {import("@mantine/core").MantineColorsTuple} */
const dark = [
  "#d5d9df",
  "#b9bfc8",
  "#a0a7b2",
  "#6d7683",
  "#3c434e",
  "#2e343d",
  "#242931",
  "#191d23",
  "#13161b",
  "#0d0f13",
];

/** For what cannot be undone. @type {import("@mantine/core").MantineColorsTuple} */
const danger = [
  "#fdeeee",
  "#fbd9d9",
  "#f5b3b3",
  "#ee8a8a",
  "#e26060",
  "#d23c3c",
  "#c02626",
  "#a51f1f",
  "#861a1a",
  "#661414",
];

export const theme = createTheme({
  primaryColor: "accent",
  primaryShade: { light: 6, dark: 6 },
  colors: { accent, danger, dark },
  defaultRadius: "sm",
  fontSizes: { xs: "12px", sm: "14px", md: "14px", lg: "16px", xl: "20px" },
  fontFamily: 'system-ui, -apple-system, "Segoe UI", Roboto, "Helvetica Neue", "Noto Sans", sans-serif',
  fontFamilyMonospace: 'ui-monospace, SFMono-Regular, Menlo, Consolas, "Liberation Mono", monospace',
  headings: { fontWeight: "600" },
  respectReducedMotion: true,
  cursorType: "pointer",
  components: {
    Tooltip: { defaultProps: { openDelay: 300, withArrow: true, multiline: true, maw: 320 } },
    Modal: {
      defaultProps: { centered: true, attributes: { header: { role: "presentation" } } },
      styles: { title: { fontSize: 16, fontWeight: 600 } },
    },
    Popover: { defaultProps: { shadow: "md" } },
    Menu: { defaultProps: { shadow: "md" } },
    InputWrapper: { styles: { label: { marginBottom: 4 } } },
    Button: { defaultProps: { fw: 500 } },
  },
});

/** @type {import("@mantine/core").CSSVariablesResolver} */
export const cssVariablesResolver = () => ({
  variables: {},
  light: {
    "--mantine-color-dimmed": "#575f6a",
    "--mantine-color-placeholder": "#68707b",
    "--mantine-color-error": "#c02626",
    "--mantine-color-anchor": "#2750c0",
  },
  dark: {
    "--mantine-color-dimmed": "#a3abb6",
    "--mantine-color-placeholder": "#949ca8",
    "--mantine-color-error": "#ff8f8f",
    "--mantine-color-anchor": "#93b1ff",
  },
});
