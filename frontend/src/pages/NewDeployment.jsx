/** The wizard. What is chosen in it is the address of this page, and nowhere else. */
import { Link, useNavigate } from "@tanstack/react-router";
import { Icon } from "../components/Icon";
import { useTitle } from "../components/Page";
import { STEPS, firstOpen, problemsOf } from "../features/deployments/wizard/draft";
import { STEP_WORDS } from "../features/deployments/wizard/StepBar";
import { useDraft } from "../features/deployments/wizard/useDraft";
import { Wizard } from "../features/deployments/wizard/Wizard";
import classes from "./Runs.module.css";

export function NewDeployment() {
  const { draft, step: asked, change, go } = useDraft();
  const open = firstOpen(problemsOf(draft));
  const wanted = STEPS.find((step) => step === asked) ?? "release";
  const step = open !== null && STEPS.indexOf(wanted) > STEPS.indexOf(open) ? open : wanted; // never past what is missing
  const navigate = useNavigate();
  useTitle(`Deploy: ${STEP_WORDS[step].toLowerCase()}`);

  return (
    <div className={classes.page}>
      <div>
        <Link to="/deployments" className={classes.back}>
          <Icon name="left" size={14} /> Deployments
        </Link>
        <h1 className={classes.title}>{draft.release ? `Deploy ${named(draft.release)}` : "Deploy a release"}</h1>
      </div>
      <Wizard
        draft={draft}
        step={step}
        onChange={change}
        onGo={go}
        onStarted={(deploymentId) =>
          navigate({ to: "/deployments/$deploymentId", params: { deploymentId }, replace: true })
        }
      />
    </div>
  );
}

/** "shop 1.4.2"; a hash is shortened. @param {string} release */
const named = (release) => (/^[0-9a-f]{64}$/.test(release) ? `${release.slice(0, 12)}…` : release.replace("@", " "));
