/** Who is signed in, and the way out. */
import { ActionIcon, Menu } from "@mantine/core";
import { Link, useNavigate } from "@tanstack/react-router";
import { Icon } from "../../components/Icon";
import { useMe, useSignOut } from "../auth/session";

export function AccountMenu() {
  const me = useMe();
  const signOut = useSignOut();
  const navigate = useNavigate();
  return (
    <Menu position="bottom-end" width={240}>
      <Menu.Target>
        <ActionIcon variant="subtle" color="gray" size="lg" aria-label="Account">
          <Icon name="person" size={18} />
        </ActionIcon>
      </Menu.Target>
      <Menu.Dropdown>
        <Menu.Label>
          {me?.email} · {me?.role}
        </Menu.Label>
        <Menu.Item leftSection={<Icon name="settings" />} component={Link} to="/settings">
          Settings
        </Menu.Item>
        <Menu.Item
          leftSection={<Icon name="out" />}
          onClick={() => signOut().finally(() => navigate({ to: "/sign-in" }))}
        >
          Sign out
        </Menu.Item>
      </Menu.Dropdown>
    </Menu>
  );
}
