import { Anchor, Text } from "@mantine/core";
import { Link } from "wouter";
import type { AuditEntry } from "../api/types";
import { useMoney } from "../money/useMoney";
import { absoluteTime, shortTime } from "../ui/time";
import { actionWords, actorKind, detailsOf, pageOf } from "./audit";
import classes from "./settings.module.css";

export function AuditRow({ entry }: { entry: AuditEntry }) {
  const details = detailsOf(entry.details, useMoney());
  return (
    <li className={classes.entry}>
      <Text size="sm" c="dimmed" className={classes.when}>
        <time dateTime={entry.at} title={absoluteTime(entry.at)}>
          {shortTime(entry.at)}
        </time>
      </Text>
      <div>
        <Text size="sm" fw={550} className={classes.wrap}>
          {entry.actor_name || "Somebody"}
        </Text>
        <Text size="xs" c="dimmed">
          {actorKind(entry.actor)}
        </Text>
      </div>
      <div>
        <Text size="sm">{actionWords(entry.action)}</Text>
        {details.map(([name, value]) => (
          <Text key={name} size="xs" c="dimmed" className={classes.wrap}>
            {name}: <Named text={value} />
          </Text>
        ))}
        {entry.subject && (
          <Text size="xs" className={classes.wrap}>
            <Named text={entry.subject} />
          </Text>
        )}
      </div>
    </li>
  );
}

/** An id of something that the console shows leads there. */
function Named({ text }: { text: string }) {
  const page = pageOf(text);
  if (!page) return text;
  return (
    <Anchor component={Link} href={page} inherit>
      {text}
    </Anchor>
  );
}
