/** The pages that one can go to from anywhere: `holds` says of which addresses, `more` what a phone's bar has no room for. */
import { useMemo } from "react";
import { useMe } from "../auth/session";

const PLACES = [
  { to: "/", label: "Devices", icon: "devices", holds: /^\/($|devices\/|add-device)/ },
  { to: "/runs", label: "Runs", icon: "terminal", holds: /^\/runs/ },
  { to: "/deployments", label: "Deployments", icon: "deploy", holds: /^\/deployments/ },
  { to: "/releases", label: "Releases", icon: "box", holds: /^\/releases/ },
  { to: "/schedules", label: "Schedules", icon: "clock", holds: /^\/schedules/, more: true },
  { to: "/software", label: "Software", icon: "columns", holds: /^\/software/, more: true },
  { to: "/audit", label: "Audit", icon: "record", holds: /^\/audit/, admin: true, more: true },
  { to: "/settings", label: "Settings", icon: "settings", holds: /^\/settings/, more: true },
];

/** Those of whoever is signed in. */
export function usePlaces() {
  const isAdmin = useMe()?.role === "admin";
  return useMemo(() => PLACES.filter(({ admin }) => isAdmin || !admin), [isAdmin]);
}
