/** Recovery codes, shown once: to copy, to download, to write down. */
import { useState } from "react";
import { Button, Group } from "@mantine/core";
import { Icon } from "../../components/Icon";
import { copyText } from "../../lib/clipboard";
import tokens from "./Tokens.module.css";
import classes from "./TwoFactor.module.css";

/** @param {string} text */
function download(text) {
  const url = URL.createObjectURL(new Blob([text], { type: "text/plain" }));
  const link = Object.assign(document.createElement("a"), { href: url, download: "deployx-recovery-codes.txt" });
  link.click();
  URL.revokeObjectURL(url);
}

/** @param {{ codes: string[], onClose: () => void }} props */
export function RecoveryCodes({ codes, onClose }) {
  const [said, setSaid] = useState("");
  const text = `${codes.join("\n")}\n`;
  return (
    <div className={tokens.made} role="group" aria-label="Your recovery codes">
      <p>
        Two-factor sign-in is on. Each of these signs you in once if you lose the authenticator. Keep them where you
        keep what matters: they are not shown again.
      </p>
      <ol className={classes.codes} data-testid="recovery-codes">
        {codes.map((code) => (
          <li key={code}>{code}</li>
        ))}
      </ol>
      <Group gap="sm">
        <Button
          variant="default"
          leftSection={<Icon name="copy" />}
          onClick={async () => setSaid((await copyText(text)) ? "Copied" : "Select them and press Ctrl-C")}
        >
          Copy
        </Button>
        <Button variant="default" leftSection={<Icon name="download" />} onClick={() => download(text)}>
          Download
        </Button>
        <Button onClick={onClose}>I have kept them</Button>
        <span role="status">{said}</span>
      </Group>
    </div>
  );
}
