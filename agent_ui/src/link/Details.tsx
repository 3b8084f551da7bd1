import type { ReactNode } from "react";
import type { Link } from "../api/types";
import { useMoney } from "../money/useMoney";
import { Panel } from "../ui/Panel";
import { RelativeTime } from "../ui/Time";
import { shortTime } from "../ui/time";
import classes from "./link.module.css";
import { isOpen } from "./open";

type Row = [term: string, value: ReactNode];

export function Details({ link }: { link: Link }) {
  const money = useMoney();
  const { customer } = link;
  const open = isOpen(link);
  const amount = (minor: number) => (minor > 0 ? money(minor, link.currency) : null);
  const time = (at: string | null) => at && <RelativeTime at={at} />;
  const rows: Row[] = [
    ["Customer", customer?.name],
    ["Phone", customer?.phone],
    ["Email", customer?.email],
    ["Language", link.locale ?? customer?.locale],
    ["Customer number", customer?.external_id],
    ["Description", link.description],
    ["Reference", link.reference],
    ["Paid", amount(link.amount_paid)],
    ["Left to pay", open && link.amount_paid > 0 && amount(link.amount - link.amount_paid)],
    ["In parts of at least", link.minimum_amount && amount(link.minimum_amount)],
    ["Refunded", amount(link.amount_refunded)],
    ["Created", time(link.created_at)],
    ["Created by", link.created_by.name],
    ["Expires", open && expiry(link.expires_at)],
    ["Expired", link.status === "expired" && time(link.expires_at)],
    ["Paid at", time(link.paid_at)],
    ["Canceled", time(link.canceled_at)],
    ["Id", link.id],
  ];
  return (
    <Panel title="Details">
      <dl className={classes.details}>
        {rows
          .filter(([, value]) => Boolean(value))
          .map(([term, value]) => (
            <div key={term} style={{ display: "contents" }}>
              <dt>{term}</dt>
              <dd>{value}</dd>
            </div>
          ))}
      </dl>
    </Panel>
  );
}

const expiry = (at: string | null) =>
  at && (
    <>
      {shortTime(at)} (<RelativeTime at={at} future />)
    </>
  );
