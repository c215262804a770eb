/** How the agent comes onto a machine that does not have it yet; the README's words. */
import { CopyLine } from "../../components/CopyLine";

/** Run as root beside the folder that `make wheels` made. */
const INSTALL_LINE = "sh agent/install.sh";

export function InstallAgent() {
  return (
    <>
      <p>
        Make <code className="mono">dist/agent</code> once, with <code className="mono">make wheels</code> in a checkout
        of DeployX. Copy that folder to the machine, which needs Python 3.11 or newer, and there, as root:
      </p>
      <CopyLine text={INSTALL_LINE} label="the line that installs the agent" />
    </>
  );
}
