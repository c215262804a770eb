/** Commands that this user keeps: take one, keep what is typed now, forget one. */
import { useRef, useState } from "react";
import { ActionIcon, Button, Popover, TextInput } from "@mantine/core";
import { useMutation, useQuery, useQueryClient } from "@tanstack/react-query";
import { Icon } from "../../../components/Icon";
import { ProblemBox } from "../../../components/ProblemBox";
import { deleteSaved, listSaved, saveCommand } from "../api";
import { commandOf, draftOf } from "./draft";
import classes from "./SavedCommands.module.css";

const KEY = ["saved-commands"];
const SAVED = { queryKey: KEY, queryFn: listSaved };
const NAME_MAX = 100;

/** @param {Pick<import("./What").PartProps, "draft" | "onChange">} props */
export function SavedCommands({ draft, onChange }) {
  const [opened, setOpened] = useState(false);
  const field = useRef(/** @type {HTMLInputElement | null} */ (null));
  useQuery(SAVED); // it is there when this opens, and nothing moves away from under the pointer
  return (
    <Popover opened={opened} onChange={setOpened} position="bottom-end" width={340} trapFocus returnFocus>
      <Popover.Target>
        <Button
          variant="default"
          size="compact-md"
          leftSection={<Icon name="bookmark" size={14} />}
          onClick={() => setOpened(!opened)}
        >
          Saved
        </Button>
      </Popover.Target>
      <Popover.Dropdown aria-label="Saved commands">
        <List
          onTake={(command) => {
            onChange(draftOf(command));
            setOpened(false);
          }}
          onForgotten={() => field.current?.focus()} // the button that was pressed goes with its row
        />
        <Keep field={field} draft={draft} />
      </Popover.Dropdown>
    </Popover>
  );
}

/** @param {{ onTake: (command: import("../api").Command) => void, onForgotten: () => void }} props */
function List({ onTake, onForgotten }) {
  const queryClient = useQueryClient();
  const saved = useQuery(SAVED);
  const forget = useMutation({
    mutationFn: deleteSaved,
    onSuccess: onForgotten,
    onSettled: () => queryClient.invalidateQueries({ queryKey: KEY }),
  });
  const error = saved.error ?? forget.error;
  if (error) return <ProblemBox error={error} what="Something went wrong here." onRetry={() => saved.refetch()} />;
  const items = saved.data?.items ?? [];
  if (items.length === 0)
    return <p className={classes.none}>{saved.data ? "Nothing is saved yet. Name what you typed to keep it." : "…"}</p>;
  return (
    <ul className={classes.list}>
      {items.map(({ id, name, title, request }) => (
        <li key={id} className={classes.row}>
          <button type="button" className={classes.take} onClick={() => onTake(request)}>
            <span className="cut">{name}</span>
            <span className={classes.title}>{title}</span>
          </button>
          <ActionIcon
            variant="subtle"
            color="gray"
            aria-label={`Forget ${name}`}
            loading={forget.isPending && forget.variables === id}
            onClick={() => forget.mutate(id)}
          >
            <Icon name="trash" />
          </ActionIcon>
        </li>
      ))}
    </ul>
  );
}

/** @param {{ field: import("react").RefObject<HTMLInputElement | null>, draft: import("./draft").Draft }} props */
function Keep({ field, draft }) {
  const queryClient = useQueryClient();
  const [name, setName] = useState("");
  const { command, problems } = commandOf(draft);
  const wrong = Object.values(problems)[0];
  const keep = useMutation({
    mutationFn: () => saveCommand(name.trim(), command),
    onSuccess: () => {
      setName("");
      field.current?.focus(); // the button that was pressed is off now
      return queryClient.invalidateQueries({ queryKey: KEY });
    },
  });
  return (
    <form
      className={classes.keep}
      onSubmit={(event) => {
        event.preventDefault();
        if (name.trim() && !wrong) keep.mutate();
      }}
    >
      <TextInput
        ref={field}
        className={classes.name}
        label="Save what is typed as"
        description={wrong && `First: ${wrong}`}
        maxLength={NAME_MAX}
        value={name}
        onChange={(event) => setName(event.currentTarget.value)}
      />
      <Button type="submit" loading={keep.isPending} disabled={!name.trim() || Boolean(wrong)}>
        Save
      </Button>
      {keep.error && <ProblemBox error={keep.error} what="It was not saved." />}
    </form>
  );
}
