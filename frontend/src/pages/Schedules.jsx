/** What starts by itself: the list of schedules, and the coming weeks. Which of the two is in the address. */
import { SegmentedControl } from "@mantine/core";
import { Link, useNavigate, useSearch } from "@tanstack/react-router";
import { Icon } from "../components/Icon";
import { OffButton } from "../components/OffButton";
import { useTitle } from "../components/Page";
import { useActOff } from "../features/devices/useActOff";
import { Calendar } from "../features/schedules/Calendar";
import { ScheduleList } from "../features/schedules/ScheduleList";
import classes from "./Runs.module.css";

const VIEWS = [
  { value: "", label: "List" },
  { value: "calendar", label: "Coming weeks" },
];

export function Schedules() {
  useTitle("Schedules");
  const { view } = /** @type {{ view?: string }} */ (useSearch({ strict: false }));
  const navigate = useNavigate();
  const off = useActOff();
  return (
    <div className={classes.page}>
      <div className={classes.head}>
        <h1 className={classes.title}>Schedules</h1>
        <OffButton off={off} leftSection={<Icon name="plus" />} onClick={() => navigate({ to: "/schedules/new" })}>
          New schedule
        </OffButton>
      </div>
      <div className={classes.tools}>
        <SegmentedControl
          aria-label="How they are shown"
          data={VIEWS}
          value={view === "calendar" ? view : ""}
          onChange={(value) => navigate({ to: "/schedules", search: value ? { view: value } : {}, replace: true })}
        />
      </div>
      {view === "calendar" ? <Calendar /> : <ScheduleList none={<First />} />}
    </div>
  );
}

function First() {
  return (
    <div className={classes.none} data-testid="first-schedule">
      <h2>Nothing starts by itself yet</h2>
      <p>
        A schedule starts a run or a deployment at a time, or again and again. Its devices are looked up each time, and
        it does what you may do then. You see the next times before you save it.
      </p>
      <p>
        <Link to="/schedules/new">Make your first schedule</Link>
      </p>
    </div>
  );
}
