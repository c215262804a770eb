/** A button that may be off, and then says why to whoever points at it or focuses it. */
import { Button, Tooltip } from "@mantine/core";

/** @param {import("@mantine/core").ButtonProps & import("react").ComponentPropsWithoutRef<"button"> & { off: string | null }} props */
export function OffButton({ off, onClick, ...rest }) {
  return (
    <Tooltip label={off} disabled={!off} events={{ hover: true, focus: true, touch: true }}>
      <Button
        {...rest}
        data-disabled={off ? true : undefined}
        aria-disabled={off ? true : undefined}
        onClick={off ? (event) => event.preventDefault() : onClick}
      />
    </Tooltip>
  );
}
