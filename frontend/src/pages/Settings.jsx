/** Settings: of this browser, and what this user's programs and machines sign in with. */
import { Page } from "../components/Page";

export function Settings() {
  return <Page title="Settings">Soon</Page>;
}
