/** The way between the pages: a rail on the left, a bar at the bottom on a phone. */
import { Link, useRouterState } from "@tanstack/react-router";
import { Icon } from "../../components/Icon";
import { useLive } from "../../live";
import { useMe } from "../auth/session";
import { plural } from "../../lib/text";
import classes from "./Rail.module.css";

const PLACES = [
  { to: "/", label: "Devices", icon: "devices", holds: /^\/($|devices\/|add-device)/ },
  { to: "/runs", label: "Runs", icon: "terminal", holds: /^\/runs/ },
  { to: "/audit", label: "Audit", icon: "record", holds: /^\/audit/, admin: true },
  { to: "/settings", label: "Settings", icon: "settings", holds: /^\/settings/ },
];

export function Rail() {
  const path = useRouterState({ select: ({ location }) => location.pathname });
  const waiting = useLive((state) => state.counts.pending + state.claims.length + state.moreClaims);
  const isAdmin = useMe()?.role === "admin";
  return (
    <nav className={classes.rail} aria-label="Main">
      <div className={classes.brand}>
        <img src="/favicon.svg" alt="" width="24" height="24" />
        DeployX
      </div>
      {PLACES.filter(({ admin }) => isAdmin || !admin).map(({ to, label, icon, holds }) => (
        <Link key={to} to={to} className={classes.place} aria-current={holds.test(path) ? "page" : undefined}>
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
