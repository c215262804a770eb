/** Which devices have a release: the counts, each a filter of the devices below, and of each device what it has and how that is known. */
import { useState } from "react";
import { Button, Skeleton, Stack, TextInput } from "@mantine/core";
import { useDebouncedValue } from "@mantine/hooks";
import { useInfiniteQuery } from "@tanstack/react-query";
import { Link, useNavigate } from "@tanstack/react-router";
import { AllFilter, Filter, Filters } from "../../components/Filters";
import { Icon } from "../../components/Icon";
import { ProblemBox } from "../../components/ProblemBox";
import { Time } from "../../components/Time";
import { readable } from "../runs/Sentence";
import { readCompliance } from "./api";
import { STANDINGS, STANDING_ORDER } from "./standings";
import { RELEASES } from "./useReleases";
import "./standings.css";
import classes from "./Compliance.module.css";

const TYPED_MS = 250;
const PAGE = 100;
const REFRESH_MS = 15_000;

/** @param {{ releaseId: string, standing: import("./standings").Standing | undefined }} props */
export default function Compliance({ releaseId, standing }) {
  const [text, setText] = useState("");
  const [q] = useDebouncedValue(text.trim(), TYPED_MS);
  const navigate = useNavigate();
  const pages = useInfiniteQuery({
    queryKey: [...RELEASES, "compliance", releaseId, { standing, q }],
    queryFn: ({ pageParam, signal }) =>
      readCompliance(releaseId, { standing, q, cursor: pageParam, limit: PAGE }, signal),
    initialPageParam: /** @type {string | undefined} */ (undefined),
    getNextPageParam: (page) => page.next_cursor ?? undefined,
    placeholderData: (before) => before,
    refetchInterval: ({ state }) => ((state.data?.pages.length ?? 0) > 1 ? false : REFRESH_MS),
    staleTime: 0,
  });
  const { data, error } = pages;
  if (!data)
    return error ? (
      <ProblemBox error={error} what="Which devices have it cannot be shown." onRetry={() => pages.refetch()} />
    ) : (
      <Stack gap={8} role="status" aria-label="Looking which devices have it">
        <Skeleton height={30} width="70%" />
        <Skeleton height={160} />
      </Stack>
    );
  const { counts, total } = data.pages[0];
  const items = data.pages.flatMap(({ items }) => items);
  const choose = (/** @type {import("./standings").Standing | undefined} */ standing) =>
    navigate({ to: ".", search: standing ? { standing } : {}, replace: true, resetScroll: false });
  if (total === 0) return <p className="muted">There is no device yet that could have it.</p>;
  return (
    <>
      {error && <ProblemBox error={error} what="What is shown may be old." onRetry={() => pages.refetch()} />}
      <div className={classes.tools}>
        <Filters label="Filter by what they have">
          <AllFilter total={total} pressed={!standing} onPress={() => choose(undefined)} />
          {STANDING_ORDER.filter((each) => counts[each] > 0 || each === standing).map((each) => (
            <Filter
              key={each}
              data-standing={each}
              data-testid={`standing-${each}`}
              icon={STANDINGS[each].icon}
              count={counts[each]}
              word={STANDINGS[each].word.toLowerCase()}
              meaning={STANDINGS[each].meaning}
              pressed={standing === each}
              onPress={() => choose(standing === each ? undefined : each)}
            />
          ))}
        </Filters>
        {total > 1 && (
          <TextInput
            type="search"
            aria-label="Search these devices"
            placeholder="Search device"
            leftSection={<Icon name="search" />}
            value={text}
            onChange={(event) => setText(event.currentTarget.value)}
          />
        )}
      </div>
      {items.length === 0 ? (
        <p className="muted">No device matches.</p>
      ) : (
        <ul className={classes.devices} data-testid="compliance" aria-busy={pages.isPlaceholderData}>
          {items.map((device) => (
            <Device key={device.device_id} device={device} />
          ))}
        </ul>
      )}
      {pages.hasNextPage && (
        <div>
          <Button
            variant="default"
            size="xs"
            loading={pages.isFetchingNextPage}
            onClick={() => void pages.fetchNextPage()}
          >
            Show more
          </Button>
        </div>
      )}
    </>
  );
}

/** @param {{ device: import("./api").Schemas["DeviceStandingView"] }} props */
function Device({ device: { device_id, device_name, standing, has, why, since } }) {
  const { word, icon } = STANDINGS[standing];
  return (
    <li data-standing={standing}>
      <Link to="/devices/$deviceId" params={{ deviceId: String(device_id) }} className="cut">
        {device_name}
      </Link>
      <span className={classes.mark}>
        <span className={classes.icon}>
          <Icon name={icon} size={14} />
        </span>
        {word}
        {has && <span className="mono">{has}</span>}
      </span>
      <span className={classes.why}>
        {readable(why)}
        {since && (
          <>
            {" "}
            · <Time at={since} />
          </>
        )}
      </span>
    </li>
  );
}
