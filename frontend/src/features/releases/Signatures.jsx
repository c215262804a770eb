/** Who signed a release, and the honest sentence about what that is worth coming from the server. */
import { CopyLine } from "../../components/CopyLine";
import { Icon } from "../../components/Icon";
import { signerName } from "./kinds";
import classes from "./Release.module.css";

/** @param {import("./api").Release["signers"][number]} signer @returns {[string, string, string]} state, icon, words */
function verdict({ good, name }) {
  if (good === true) return ["online", "trusted", `over this release, by the key that your devices call ${name}`];
  if (good === false) return ["offline", "close", "not over this release: devices refuse it"];
  return ["unknown", "unknown", "of a key that no policy of your devices names: the server cannot say"];
}

/** @param {{ release: import("./api").ReleaseDetail }} props */
export function Signatures({ release }) {
  const { signers, name, version } = release;
  return (
    <div className={classes.signatures} data-testid="signatures">
      {signers.length > 0 ? (
        <ul className={classes.signers}>
          {signers.map((signer) => {
            const [state, icon, words] = verdict(signer);
            return (
              <li key={signer.key_id} className={classes.signer}>
                <span style={{ color: `var(--state-${state})` }}>
                  <Icon name={icon} size={14} />
                </span>
                <b>{signerName(signer)}</b> <span className="mono muted">{signer.name && signer.key_id}</span>
                <span>{words}</span>
              </li>
            );
          })}
        </ul>
      ) : (
        <p>
          Nobody has signed it. Devices whose policy asks for signatures refuse it; the others take the server&apos;s
          word.
        </p>
      )}
      <p className="muted">
        The server cannot vouch for a signature: whoever holds the server could show anything here. Each device checks
        them itself, against the keys that its own policy names. To sign it, with a key that was never on the server:
      </p>
      <CopyLine text={`deployx release sign ${name}@${version} --key KEYFILE`} label="the line that signs it" />
    </div>
  );
}
