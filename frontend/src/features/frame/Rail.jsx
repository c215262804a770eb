/** The way between the pages: a rail on the left, a bar at the bottom on a phone. */
import { Link } from "@tanstack/react-router";
import { Icon } from "../../components/Icon";
import { useLive } from "../../live";
import { plural } from "../../lib/text";
import classes from "./Rail.module.css";

const PLACES = [
  { to: "/", label: "Devices", icon: "devices" },
  { to: "/settings", label: "Settings", icon: "settings" },
];

export function Rail() {
  const waiting = useLive((state) => state.counts.pending + state.claims.length);
  return (
    <nav className={classes.rail} aria-label="Main">
      <div className={classes.brand}>
        <img src="/favicon.svg" alt="" width="24" height="24" />
        DeployX
      </div>
      {PLACES.map(({ to, label, icon }) => (
        <Link
          key={to}
          to={to}
          className={classes.place}
          activeOptions={{ exact: false, includeSearch: false }}
          activeProps={{ "aria-current": "page" }}
        >
          <Icon name={icon} size={18} />
          {label}
          {to === "/" && waiting > 0 && (
            <span className={classes.waiting} title={`${plural(waiting, "device")} need attention`}>
              {waiting}
              <span className="visually-hidden"> need attention</span>
            </span>
          )}
        </Link>
      ))}
    </nav>
  );
}
