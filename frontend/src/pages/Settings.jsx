/** Settings: what programs and machines sign in with, and what this browser remembers. */
import { Page, Section } from "../components/Page";
import { useMayAct, useMe } from "../features/auth/session";
import { InvitationList } from "../features/people/InvitationList";
import { PersonList } from "../features/people/PersonList";
import { Password, Sessions } from "../features/settings/Account";
import { ApiTokens } from "../features/settings/ApiTokens";
import { EnrollmentTokens } from "../features/settings/EnrollmentTokens";
import { Appearance, NoticeSetting } from "../features/settings/Preferences";
import { TwoFactor } from "../features/settings/TwoFactor";

export function Settings() {
  const me = useMe();
  const mayAct = useMayAct();
  return (
    <Page title="Settings" intro={me && `Signed in as ${me.email} (${me.role}).`}>
      <Section title="Appearance">
        <Appearance />
      </Section>
      <Section title="Notifications">
        <NoticeSetting />
      </Section>
      <Section title="Password">
        <Password />
      </Section>
      <Section title="Two-factor sign-in">
        <TwoFactor />
      </Section>
      <Section title="Where you are signed in">
        <Sessions />
      </Section>
      <Section title="API tokens">
        <ApiTokens />
      </Section>
      {mayAct && (
        <Section title="Enrolment tokens">
          <EnrollmentTokens />
        </Section>
      )}
      {me?.role === "admin" && (
        <>
          <Section title="People" id="people">
            <PersonList />
          </Section>
          <Section title="Invitations" id="invitations">
            <InvitationList />
          </Section>
        </>
      )}
    </Page>
  );
}
