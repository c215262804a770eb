/**
 * The addresses of the dashboard. Every page is a chunk of its own; the list stays mounted while a device or a dialog is
 * open beside it. Invariant: whatever ends a session, over REST or over the socket, ends at the sign-in page with nothing
 * of that user left in memory.
 */
import { Outlet, createRootRouteWithContext, createRoute, createRouter, redirect } from "@tanstack/react-router";
import { piece } from "./components/Piece";
import { meQuery, safeTarget } from "./features/auth/session";
import { searchFrom } from "./features/devices/view";
import { forgetEverything, link, onLinkSignedOut, store, viewer } from "./live";
import { onSignedOut } from "./lib/api";
import { asProblem } from "./lib/problem";
import { parseSearch, stringifySearch } from "./lib/search";
import { Failure } from "./pages/Failure";
import { NotFound } from "./pages/NotFound";

/** @param {() => Promise<any>} load @param {string} name */
const page = (load, name) => piece(load, { name, what: "This page" });

/** @typedef {{ queryClient: import("@tanstack/react-query").QueryClient }} Context */

const root = /** @type {ReturnType<typeof createRootRouteWithContext<Context>>} */ (createRootRouteWithContext())({
  component: Outlet,
});

const signIn = createRoute({
  getParentRoute: () => root,
  path: "/sign-in",
  validateSearch: (/** @type {Record<string, unknown>} */ { next }) =>
    typeof next === "string" && safeTarget(next) !== "/" ? { next } : {},
  component: page(() => import("./pages/SignIn"), "SignIn"),
});

const invitation = createRoute({
  getParentRoute: () => root,
  path: "/invitation",
  component: page(() => import("./pages/Invitation"), "Invitation"),
});

const frame = createRoute({
  getParentRoute: () => root,
  id: "frame",
  async beforeLoad({ context, location }) {
    try {
      const { id, role } = await context.queryClient.ensureQueryData(meQuery);
      viewer.set({ id, acts: role !== "viewer" });
    } catch (error) {
      if (asProblem(error).status !== 401) throw error;
      throw redirect({ to: "/sign-in", search: nextOf(location.href), replace: true });
    }
    link.start(); // the list is on its way while the page is still being made
  },
  component: page(() => import("./pages/Signed"), "Signed"),
});

const dashboard = createRoute({
  getParentRoute: () => frame,
  id: "devices",
  validateSearch: searchFrom,
  component: page(() => import("./pages/Dashboard"), "Dashboard"),
});

const list = createRoute({ getParentRoute: () => dashboard, path: "/", component: () => null });

const device = createRoute({
  getParentRoute: () => dashboard,
  path: "/devices/$deviceId",
  component: page(() => import("./pages/Device"), "Device"),
});

const addDevice = createRoute({
  getParentRoute: () => dashboard,
  path: "/add-device",
  component: page(() => import("./pages/AddDevice"), "AddDevice"),
});

/** Keeps these parts of an address, as text. @param {string[]} names */
const only =
  (...names) =>
  (/** @type {Record<string, unknown>} */ raw) =>
    Object.fromEntries(names.filter((name) => raw[name]).map((name) => [name, String(raw[name])]));

const runs = createRoute({
  getParentRoute: () => frame,
  path: "/runs",
  validateSearch: only("state", "q", "by"),
  component: page(() => import("./pages/Runs"), "Runs"),
});

const newRun = createRoute({
  getParentRoute: () => frame,
  path: "/runs/new",
  validateSearch: only("again", "device"),
  component: page(() => import("./pages/NewRun"), "NewRun"),
});

const run = createRoute({
  getParentRoute: () => frame,
  path: "/runs/$runId",
  validateSearch: only("state", "task", "digest", "view"),
  component: page(() => import("./pages/Run"), "Run"),
});

const deployments = createRoute({
  getParentRoute: () => frame,
  path: "/deployments",
  validateSearch: only("state", "name"),
  component: page(() => import("./pages/Deployments"), "Deployments"),
});

const newDeployment = createRoute({
  getParentRoute: () => frame,
  path: "/deployments/new",
  component: page(() => import("./pages/NewDeployment"), "NewDeployment"),
});

const deployment = createRoute({
  getParentRoute: () => frame,
  path: "/deployments/$deploymentId",
  validateSearch: only("state", "wave", "attention", "target", "view"),
  component: page(() => import("./pages/Deployment"), "Deployment"),
});

const releases = createRoute({
  getParentRoute: () => frame,
  path: "/releases",
  validateSearch: only("q"),
  component: page(() => import("./pages/Releases"), "Releases"),
});

const newRelease = createRoute({
  getParentRoute: () => frame,
  path: "/releases/new",
  component: page(() => import("./pages/NewRelease"), "NewRelease"),
});

const release = createRoute({
  getParentRoute: () => frame,
  path: "/releases/$releaseId",
  validateSearch: only("standing"),
  component: page(() => import("./pages/Release"), "Release"),
});

const schedules = createRoute({
  getParentRoute: () => frame,
  path: "/schedules",
  validateSearch: only("view"),
  component: page(() => import("./pages/Schedules"), "Schedules"),
});

const newSchedule = createRoute({
  getParentRoute: () => frame,
  path: "/schedules/new",
  component: page(() => import("./pages/NewSchedule"), "NewSchedule"),
});

const schedule = createRoute({
  getParentRoute: () => frame,
  path: "/schedules/$scheduleId",
  component: page(() => import("./pages/Schedule"), "Schedule"),
});

const changedSchedule = createRoute({
  getParentRoute: () => frame,
  path: "/schedules/$scheduleId/edit",
  component: page(() => import("./pages/NewSchedule"), "NewSchedule"),
});

const software = createRoute({
  getParentRoute: () => frame,
  path: "/software",
  validateSearch: only("q", "tab"),
  component: page(() => import("./pages/Software"), "Software"),
});

const audit = createRoute({
  getParentRoute: () => frame,
  path: "/audit",
  validateSearch: only("action", "actor", "object"),
  component: page(() => import("./pages/Audit"), "Audit"),
});

const settings = createRoute({
  getParentRoute: () => frame,
  path: "/settings",
  component: page(() => import("./pages/Settings"), "Settings"),
});

const nowhere = createRoute({ getParentRoute: () => frame, path: "$", component: NotFound });

const tree = root.addChildren([
  signIn,
  invitation,
  frame.addChildren([
    dashboard.addChildren([list, device, addDevice]),
    ...[runs, newRun, run],
    ...[deployments, newDeployment, deployment],
    ...[releases, newRelease, release],
    ...[schedules, newSchedule, schedule, changedSchedule],
    software,
    audit,
    settings,
    nowhere,
  ]),
]);

/** @param {string} href */
const nextOf = (href) => (safeTarget(href) === "/" ? {} : { next: href });

/** @param {import("@tanstack/react-query").QueryClient} queryClient */
export function createDashboardRouter(queryClient) {
  const router = createRouter({
    routeTree: tree,
    context: { queryClient },
    defaultPreload: "intent",
    defaultErrorComponent: Failure,
    defaultNotFoundComponent: NotFound,
    parseSearch,
    stringifySearch,
  });

  function leave() {
    if (!queryClient.getQueryData(meQuery.queryKey)) return; // nobody was signed in
    forgetEverything();
    queryClient.clear();
    void router.navigate({ to: "/sign-in", search: nextOf(router.state.location.href) });
  }

  onSignedOut(leave);
  onLinkSignedOut(leave);
  store.subscribe(({ state: { ended } }, before) => {
    if (ended !== before.ended && ended?.code === "role_changed")
      void queryClient.invalidateQueries({ queryKey: meQuery.queryKey });
  });
  return router;
}
