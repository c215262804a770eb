/** An address that leads nowhere. */
import { Link } from "@tanstack/react-router";
import { Page } from "../components/Page";

export function NotFound() {
  return (
    <Page title="There is no such page" intro="The address may be mistyped, or the page may have moved.">
      <Link to="/">Go to the devices</Link>
    </Page>
  );
}
