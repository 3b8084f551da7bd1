import { Badge } from "@mantine/core";
import type { Delivery, Dispute, LinkStatus, Payment, Refund } from "../api/types";
import { DISPUTE_STATUS } from "../money/words";
import { Icon } from "./icons";

interface Look {
  label: string;
  color: string;
}

export const LINK_STATUS: Record<LinkStatus, Look> = {
  active: { label: "Active", color: "petrol" },
  partially_paid: { label: "Partially paid", color: "yellow" },
  paid: { label: "Paid", color: "green" },
  expired: { label: "Expired", color: "gray" },
  canceled: { label: "Canceled", color: "gray" },
};

const DELIVERY_STATUS: Record<Delivery["status"], Look> = {
  queued: { label: "Sending", color: "gray" },
  sent: { label: "Sent", color: "petrol" },
  delivered: { label: "Delivered", color: "green" },
  read: { label: "Read", color: "green" },
  failed: { label: "Failed", color: "red" },
  bounced: { label: "Bounced", color: "red" },
  opted_out: { label: "Opted out", color: "yellow" },
  expired: { label: "Not in time", color: "red" },
};

const PAYMENT_STATUS: Record<Payment["status"], Look> = {
  requires_payment_method: { label: "Waiting for a card", color: "gray" },
  requires_action: { label: "Bank confirmation", color: "petrol" },
  processing: { label: "Processing", color: "petrol" },
  in_review: { label: "Held for a decision", color: "yellow" },
  requires_capture: { label: "Authorised", color: "petrol" },
  succeeded: { label: "Succeeded", color: "green" },
  failed: { label: "Failed", color: "red" },
  canceled: { label: "Canceled", color: "gray" },
};

const REFUND_STATUS: Record<Refund["status"], Look> = {
  pending: { label: "On its way", color: "petrol" },
  succeeded: { label: "Refunded", color: "green" },
  failed: { label: "Failed", color: "red" },
};

function Status({ look, status }: { look: Look | undefined; status: string }) {
  return (
    <Badge variant="light" color={look?.color ?? "gray"} tt="none" fw={600} style={{ flexShrink: 0 }}>
      {look?.label ?? status}
    </Badge>
  );
}

export const LinkBadge = ({ status }: { status: LinkStatus }) => (
  <Status look={LINK_STATUS[status]} status={status} />
);

export const DeliveryBadge = ({ status }: { status: Delivery["status"] }) => (
  <Status look={DELIVERY_STATUS[status]} status={status} />
);

export const WithdrawnBadge = () => (
  <Badge variant="light" color="gray" tt="none" fw={600} style={{ flexShrink: 0 }}>
    Withdrawn
  </Badge>
);

export const PaymentBadge = ({ status }: { status: Payment["status"] }) => (
  <Status look={PAYMENT_STATUS[status]} status={status} />
);

export const RefundBadge = ({ status }: { status: Refund["status"] }) => (
  <Status look={REFUND_STATUS[status]} status={status} />
);

export const DisputeBadge = ({ status }: { status: Dispute["status"] }) => (
  <Status look={DISPUTE_STATUS[status]} status={status} />
);

export const LockedBadge = () => (
  <Badge
    variant="light"
    color="red"
    tt="none"
    fw={600}
    leftSection={<Icon name="lock" size={12} />}
    style={{ flexShrink: 0 }}
  >
    Locked
  </Badge>
);
