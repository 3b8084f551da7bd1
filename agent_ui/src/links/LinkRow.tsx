import { Text } from "@mantine/core";
import { Link } from "wouter";
import { useLiveEvents } from "../api/queries";
import type { Delivery, Link as PaymentLink } from "../api/types";
import { isLocked } from "../link/lock";
import { useMoney } from "../money/useMoney";
import { factsOf } from "../stream/facts";
import { tell } from "../stream/sentences";
import { channelPhrase } from "../ui/channels";
import { LinkBadge, LockedBadge } from "../ui/StatusBadge";
import { RelativeTime } from "../ui/Time";
import classes from "./links.module.css";

export function LinkRow({ link }: { link: PaymentLink }) {
  const money = useMoney();
  return (
    <li>
      <Link href={`/links/${link.id}`} className={classes.row}>
        <span className={classes.amount}>
          <Text span fw={650} display="block">
            {money(link.amount, link.currency)}
          </Text>
          {isPart(link) && (
            <Text span size="xs" c="dimmed" display="block">
              {money(link.amount_paid, link.currency)} paid
            </Text>
          )}
        </span>
        <span className={classes.who}>
          <Text span truncate fw={550}>
            {whoIs(link)}
          </Text>
          {link.description && (
            <Text span truncate size="sm" c="dimmed">
              {link.description}
            </Text>
          )}
        </span>
        <Text span size="sm" truncate className={classes.reference}>
          {link.reference}
        </Text>
        <Latest link={link} />
        <span className={classes.status}>
          <LinkBadge status={link.status} />
          {isLocked(link) && <LockedBadge />}
        </span>
        <Text span size="sm" c="dimmed" className={classes.when}>
          <RelativeTime at={link.created_at} />
        </Text>
      </Link>
    </li>
  );
}

/** Whether a part has been paid and the rest not, be it that it no longer can. */
const isPart = ({ amount, amount_paid: paid }: PaymentLink) => paid > 0 && paid < amount;

const whoIs = ({ customer }: PaymentLink) =>
  customer?.name ?? customer?.email ?? customer?.phone ?? "No customer named";

/** What the stream told last while this page was open; before that, what the link itself says. */
function Latest({ link }: { link: PaymentLink }) {
  const money = useMoney();
  const event = useLiveEvents(link.id).data?.findLast(({ type }) => type !== "link.fetched");
  const told = event && tell(event.type, factsOf(event.data, money));
  return (
    <Text span size="sm" c="dimmed" lineClamp={2} className={classes.latest}>
      {told?.text ?? stateOf(link)}
    </Text>
  );
}

/** The best first. */
const WORDS: Record<Delivery["status"], string> = {
  read: "Read, sent",
  delivered: "Delivered",
  sent: "Sent",
  queued: "Sending",
  expired: "Not in time",
  bounced: "Came back",
  opted_out: "Opted out of messages",
  failed: "Not delivered",
};
const BEST_FIRST = Object.keys(WORDS);

/** Of several messages the one that got furthest says how things stand. */
function stateOf({ status, deliveries }: PaymentLink): string {
  const rank = (delivery: Delivery) => BEST_FIRST.indexOf(delivery.status);
  const [best] = deliveries.toSorted((a, b) => rank(a) - rank(b));
  return status === "active" && best ? `${WORDS[best.status]} ${channelPhrase(best.channel)}` : "";
}
