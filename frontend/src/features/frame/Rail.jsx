/** The way between the pages: a rail on the left; on a phone a bar at the bottom, which has the rest behind "More". */
import { Menu, UnstyledButton } from "@mantine/core";
import { Link, useRouterState } from "@tanstack/react-router";
import { Icon } from "../../components/Icon";
import { useLive } from "../../live";
import { plural } from "../../lib/text";
import { usePlaces } from "./places";
import classes from "./Rail.module.css";

export function Rail() {
  const path = useRouterState({ select: ({ location }) => location.pathname });
  const waiting = useLive((state) => state.counts.pending + state.claims.length + state.moreClaims);
  const places = usePlaces();
  const more = places.filter((place) => place.more);
  return (
    <nav className={classes.rail} aria-label="Main">
      <div className={classes.brand}>
        <img src="/favicon.svg" alt="" width="24" height="24" />
        DeployX
      </div>
      {places.map(({ to, label, icon, holds, more }) => (
        <Link
          key={to}
          to={to}
          className={classes.place}
          data-more={more || undefined}
          aria-current={holds.test(path) ? "page" : undefined}
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
      <Menu position="top-end" withinPortal>
        <Menu.Target>
          <UnstyledButton
            className={`${classes.place} ${classes.more}`}
            data-here={more.some(({ holds }) => holds.test(path)) || undefined}
          >
            <Icon name="more" size={18} />
            More
          </UnstyledButton>
        </Menu.Target>
        <Menu.Dropdown>
          {more.map(({ to, label, icon, holds }) => (
            <Menu.Item
              key={to}
              component={Link}
              to={to}
              leftSection={<Icon name={icon} />}
              aria-current={holds.test(path) ? "page" : undefined}
            >
              {label}
            </Menu.Item>
          ))}
        </Menu.Dropdown>
      </Menu>
    </nav>
  );
}
