/** What each kind of release has to be told. */
import { NativeSelect, TextInput, Textarea } from "@mantine/core";
import { textProps } from "./textProps";
import { UploadBox } from "./upload/UploadBox";
import classes from "./Release.module.css";

const PACKAGE_STATES = [
  { value: "latest", label: "the newest that its repositories have" },
  { value: "version", label: "exactly this version" },
  { value: "present", label: "any version" },
  { value: "absent", label: "none: it is removed" },
];

/** @param {import("./textProps").PartProps & { off: string | null }} props */
export function KindFields({ off, ...part }) {
  const { draft, problems, onChange } = part;
  /** @param {keyof import("./draft").Draft} field */
  const text = (field) => textProps(part, field);
  const withFile = draft.kind === "file" || draft.kind === "archive";
  return (
    <>
      {withFile && (
        <>
          <UploadBox
            label={draft.kind === "file" ? "The file" : "The archive (tar, tar.gz, tar.xz, zip)"}
            off={off}
            sent={draft.artifact}
            onSent={(artifact) => onChange({ artifact })}
          />
          {problems.artifact && (
            <p className={classes.problem} role="alert">
              {problems.artifact}
            </p>
          )}
        </>
      )}
      {draft.kind === "file" && (
        <div className={classes.fields}>
          <TextInput {...text("path")} label="Becomes" placeholder="/usr/local/bin/shop" className={classes.mono} />
          <TextInput {...text("mode")} label="Mode" className={classes.mono} />
          <TextInput {...text("owner")} label="Owner" placeholder="whoever the agent is" className={classes.mono} />
        </div>
      )}
      {draft.kind === "archive" && (
        <div className={classes.fields}>
          <TextInput {...text("into")} label="Becomes the folder" placeholder="/opt/shop" className={classes.mono} />
          <TextInput
            {...text("strip")}
            label="Leading folders dropped"
            description="Of each name in the archive."
            inputMode="numeric"
          />
        </div>
      )}
      {draft.kind === "package" && (
        <div className={classes.fields}>
          <TextInput {...text("package")} label="Package" placeholder="nginx" className={classes.mono} />
          <NativeSelect
            label="What is wanted"
            data={PACKAGE_STATES}
            value={draft.state}
            onChange={(event) => onChange({ state: /** @type {any} */ (event.currentTarget.value) })}
          />
          {draft.state === "version" && (
            <TextInput {...text("packageVersion")} label="Version of the package" className={classes.mono} />
          )}
        </div>
      )}
      <Textarea
        {...text("install")}
        label={draft.kind === "script" ? "Install" : "Then run"}
        description={
          draft.kind === "script"
            ? "A line for the shell, or several."
            : "A line for the shell that follows when the files are in their place, such as a restart. It may stay empty."
        }
        placeholder="systemctl restart shop"
        autosize
        className={classes.mono}
      />
      <Textarea
        {...text("detect")}
        label="Detect"
        description={
          draft.kind === "script"
            ? "A line for the shell that succeeds when this version is there already: then nothing is done."
            : "A line for the shell that succeeds when this version is there. The files or the package are looked for by themselves."
        }
        autosize
        className={classes.mono}
      />
    </>
  );
}
