/** One schedule: what it does, when it is next due, and what came of the times that were. */
import { Skeleton } from "@mantine/core";
import { useQuery } from "@tanstack/react-query";
import { Link, useParams } from "@tanstack/react-router";
import { Icon } from "../components/Icon";
import { Section, useTitle } from "../components/Page";
import { ProblemBox } from "../components/ProblemBox";
import { strategyFacts } from "../features/deployments/strategyWords";
import { nextTimesQuery, scheduleQuery } from "../features/schedules/api";
import { History } from "../features/schedules/History";
import { NextTimes } from "../features/schedules/NextTimes";
import { ScheduleActions } from "../features/schedules/ScheduleActions";
import { whenWords, windowWords } from "../features/schedules/words";
import own from "../features/schedules/Schedules.module.css";
import { plural } from "../lib/text";
import { duration } from "../lib/time";
import classes from "./Runs.module.css";

/** Of a strategy's facts: waves, how many at once, gate, soak, when it fails. */
const SAID = 5;

export function Schedule() {
  const { scheduleId } = /** @type {{ scheduleId: string }} */ (useParams({ strict: false }));
  const { data: schedule, error, refetch } = useQuery(scheduleQuery(scheduleId));
  useTitle(schedule?.name ?? "Schedule");
  return (
    <div className={classes.page}>
      <div>
        <Link to="/schedules" className={classes.back}>
          <Icon name="left" size={14} /> Schedules
        </Link>
        <h1 className={classes.title}>{schedule?.name ?? "Schedule"}</h1>
      </div>
      {error && <ProblemBox error={error} what="The schedule cannot be shown." onRetry={() => refetch()} />}
      {schedule ? (
        <Known schedule={schedule} />
      ) : (
        !error && <Skeleton height={260} role="status" aria-label="Loading the schedule" />
      )}
    </div>
  );
}

/** @param {{ schedule: import("../features/schedules/api").Schedule }} props */
function Known({ schedule }) {
  const { id, state, what, windows, missed, grace_s, overlap, owner } = schedule;
  const { selector, device_ids } = schedule.action.request.targets;
  const strategy = schedule.action.kind === "deployment" && schedule.action.request.strategy;
  const next = useQuery(nextTimesQuery(id));
  return (
    <>
      <ScheduleActions schedule={schedule} />
      <Section title="What it does">
        <dl className={own.facts}>
          <dt>{schedule.action.kind === "deployment" ? "Deploys" : "What"}</dt>
          <dd className="mono">{what}</dd>
          <dt>Where</dt>
          <dd>
            {selector ? <span className="mono">{selector}</span> : plural(device_ids?.length ?? 0, "picked device")}
          </dd>
          {strategy && (
            <>
              <dt>How</dt>
              <dd>
                {strategyFacts(/** @type {any} */ (strategy))
                  .slice(0, SAID)
                  .map(([name, words]) => `${name.toLowerCase()}: ${words}`)
                  .join("; ")}
              </dd>
            </>
          )}
          <dt>When</dt>
          <dd>{whenWords(schedule)}</dd>
          {windows.length > 0 && (
            <>
              <dt>Only within</dt>
              <dd>{windows.map(windowWords).join("; ")}</dd>
            </>
          )}
          <dt>If missed</dt>
          <dd>{missed === "once" ? `the last time is made up for, up to ${duration(grace_s)} late` : "let be"}</dd>
          <dt>If the one before is not over</dt>
          <dd>{overlap === "skip" ? "the time is skipped" : "started beside it"}</dd>
          <dt>In the name of</dt>
          <dd>{owner}</dd>
        </dl>
      </Section>
      <Section title="Next">
        {state === "paused" ? (
          <p className="muted">It is paused. Times that pass meanwhile are not made up for.</p>
        ) : state === "done" ? (
          <p className="muted">It has no time left.</p>
        ) : next.data ? (
          <NextTimes items={next.data.items} />
        ) : next.error ? (
          <ProblemBox error={next.error} what="The next times cannot be shown." onRetry={() => next.refetch()} />
        ) : (
          <Skeleton height={140} />
        )}
      </Section>
      <Section title="History">
        <History id={id} />
      </Section>
    </>
  );
}
