import { Text } from "@mantine/core";
import { Link } from "wouter";
import type { Dispute } from "../api/types";
import { useMoney } from "../money/useMoney";
import { disputeReason, needsAnswer } from "../money/words";
import { sentenceCase } from "../stream/facts";
import { DisputeBadge } from "../ui/StatusBadge";
import { RelativeTime } from "../ui/Time";
import { TimeLeft } from "../ui/TimeLeft";
import classes from "./disputes.module.css";

export function DisputeRow({ dispute }: { dispute: Dispute }) {
  const money = useMoney();
  return (
    <li>
      <Link href={`/payments/${dispute.payment}`} className={classes.row}>
        <Text span fw={650} className={classes.amount}>
          {money(dispute.amount, dispute.currency)}
        </Text>
        <Text span className={classes.reason}>
          {dispute.reason ? sentenceCase(disputeReason(dispute.reason)) : "No reason given"}
        </Text>
        <Text span size="sm" fw={needsAnswer(dispute) ? 600 : undefined} className={classes.due}>
          {needsAnswer(dispute) && dispute.evidence_due_at ? (
            <>
              Answer by <TimeLeft until={dispute.evidence_due_at} />
            </>
          ) : (
            <>
              {dispute.closed_at ? "Closed" : "Opened"}{" "}
              <RelativeTime at={dispute.closed_at ?? dispute.opened_at} />
            </>
          )}
        </Text>
        <span className={classes.status}>
          <DisputeBadge status={dispute.status} />
        </span>
      </Link>
    </li>
  );
}
