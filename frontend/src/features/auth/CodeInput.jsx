/** Where a code of an authenticator is typed, or a recovery code. */
import { TextInput } from "@mantine/core";

/**
 * @param {{ value: string, onChange: (code: string) => void, label?: string, description?: string, ref?: import("react").Ref<HTMLInputElement>, autofocus?: boolean }} props
 */
export function CodeInput({ value, onChange, label = "Code", description, ref, autofocus }) {
  return (
    <TextInput
      ref={ref}
      label={label}
      description={description}
      inputWrapperOrder={["label", "input", "description", "error"]}
      name="code"
      autoComplete="one-time-code"
      autoCapitalize="none"
      spellCheck={false}
      maxLength={40}
      required
      withAsterisk={false}
      data-autofocus={autofocus || undefined}
      value={value}
      onChange={(event) => onChange(event.currentTarget.value)}
    />
  );
}
