import { Group, List, Skeleton, Stack, Text } from "@mantine/core";
import type { LinkEvent } from "../api/types";
import { useMoney } from "../money/useMoney";
import { factsOf, inWords, sentenceCase } from "../stream/facts";
import { tell } from "../stream/sentences";
import { ErrorNote } from "../ui/ErrorNote";
import { Icon } from "../ui/icons";
import { Panel } from "../ui/Panel";
import { RelativeTime } from "../ui/Time";
import { absoluteTime, clockTime } from "../ui/time";
import classes from "./Timeline.module.css";

interface TimelineProps {
  events: LinkEvent[];
  pending: boolean;
  error: Error | null;
}

const ORIGINS: Record<LinkEvent["origin"], string> = {
  payer: "Customer",
  agent: "Agent",
  api: "API",
  provider: "Payment or message provider",
  system: "paylink",
};

/** Newest first, so that what just happened is where one looks. As a log it is spoken as it grows, not as it loads. */
export function Timeline({ events, pending, error }: TimelineProps) {
  return (
    <Panel title="Timeline">
      <ErrorNote error={error} />
      {pending ? (
        <Skeleton height={220} />
      ) : (
        <div role="log" aria-label="Timeline" aria-relevant="additions">
          <ol className={classes.events} reversed>
            {events.toReversed().map((event) => (
              <Entry key={event.id} event={event} />
            ))}
          </ol>
        </div>
      )}
    </Panel>
  );
}

function Entry({ event }: { event: LinkEvent }) {
  const money = useMoney();
  const told = tell(event.type, factsOf(event.data, money));
  return (
    <li className={classes.event} data-tone={told.tone} data-type={event.type}>
      <span className={classes.mark} data-icon={told.icon ?? undefined}>
        {told.icon && <Icon name={told.icon} size={13} />}
      </span>
      <Stack gap={2}>
        <Group justify="space-between" wrap="nowrap" align="baseline" gap="sm">
          <Text size="sm" fw={550} className={classes.text}>
            {told.text}
          </Text>
          <Text size="xs" c="dimmed" className={classes.time}>
            <time dateTime={event.occurred_at} title={absoluteTime(event.occurred_at)}>
              {clockTime(event.occurred_at)}
            </time>
          </Text>
        </Group>
        {told.reasons.length > 0 && (
          <List size="xs" c="dimmed">
            {told.reasons.map((reason) => (
              <List.Item key={reason}>{sentenceCase(inWords(reason))}</List.Item>
            ))}
          </List>
        )}
        {told.advice && <Text size="sm">“{told.advice}”</Text>}
        <Text size="xs" c="dimmed">
          {ORIGINS[event.origin]} · <RelativeTime at={event.occurred_at} />
        </Text>
      </Stack>
    </li>
  );
}
