/** With whom a group is shared: its members, each in a role, and the way to add one by address. */
import { useState } from "react";
import { ActionIcon, Button, NativeSelect, TextInput } from "@mantine/core";
import { useMutation, useQuery, useQueryClient } from "@tanstack/react-query";
import { Icon } from "../../components/Icon";
import { ProblemBox } from "../../components/ProblemBox";
import { ACCESS, GROUPS, MEMBER_ROLES, membersQuery, putMember, removeMember } from "./api";
import classes from "./GroupsMenu.module.css";

/** @typedef {import("./api").MemberRole} MemberRole */

/** @param {{ group: import("./api").Group }} props */
export function SharedWith({ group }) {
  const members = useQuery(membersQuery(group.id));
  const queryClient = useQueryClient();
  const [email, setEmail] = useState("");
  const [role, setRole] = useState(/** @type {MemberRole} */ ("viewer"));
  const settle = () =>
    Promise.all(
      [membersQuery(group.id).queryKey, GROUPS, ACCESS].map((queryKey) => queryClient.invalidateQueries({ queryKey })),
    );
  const put = useMutation({
    mutationFn: (/** @type {{ email: string, role: MemberRole }} */ body) => putMember(group.id, body),
    onSettled: settle,
  });
  const remove = useMutation({
    mutationFn: (/** @type {number} */ userId) => removeMember(group.id, userId),
    onSettled: settle,
  });
  const error = put.error ?? remove.error;
  if (members.error)
    return <ProblemBox error={members.error} what="The members cannot be shown." onRetry={() => members.refetch()} />;
  const items = members.data?.items ?? [];
  return (
    <div className={classes.shared} role="group" aria-label={`Shared with, ${group.name}`}>
      {members.data && items.length === 0 && (
        <p className={classes.why}>Nobody else sees it. Whoever you add sees those of its devices that are yours.</p>
      )}
      <ul className={classes.members}>
        {items.map((member) => (
          <li key={member.user_id} className={classes.member} data-testid="member">
            <span className="cut" title={member.email}>
              {member.email}
            </span>
            <NativeSelect
              size="xs"
              aria-label={`Role of ${member.email}`}
              data={MEMBER_ROLES}
              value={member.role}
              onChange={(event) =>
                put.mutate({ email: member.email, role: /** @type {MemberRole} */ (event.currentTarget.value) })
              }
            />
            <ActionIcon
              variant="subtle"
              color="gray"
              aria-label={`Share ${group.name} no longer with ${member.email}`}
              loading={remove.isPending && remove.variables === member.user_id}
              onClick={() => remove.mutate(member.user_id)}
            >
              <Icon name="close" />
            </ActionIcon>
          </li>
        ))}
      </ul>
      <form
        className={classes.add}
        onSubmit={(event) => {
          event.preventDefault();
          if (email.trim()) put.mutate({ email: email.trim(), role }, { onSuccess: () => setEmail("") });
        }}
      >
        <TextInput
          className={classes.name}
          size="xs"
          aria-label={`E-mail of whom to share ${group.name} with`}
          placeholder="name@example.com"
          inputMode="email"
          autoComplete="off"
          autoCapitalize="none"
          spellCheck={false}
          value={email}
          onChange={(event) => setEmail(event.currentTarget.value)}
        />
        <NativeSelect
          size="xs"
          aria-label="As"
          data={MEMBER_ROLES}
          value={role}
          onChange={(event) => setRole(/** @type {MemberRole} */ (event.currentTarget.value))}
        />
        <Button type="submit" size="xs" loading={put.isPending} disabled={!email.trim()}>
          Share
        </Button>
      </form>
      {error && <ProblemBox error={error} what="It is shared as before." />}
    </div>
  );
}
