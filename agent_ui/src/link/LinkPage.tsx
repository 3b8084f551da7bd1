import { Anchor, Group, Skeleton, Stack, Text } from "@mantine/core";
import { Link as RouterLink } from "wouter";
import { ApiError } from "../api/problem";
import { useLink, usePayments } from "../api/queries";
import type { Link } from "../api/types";
import { useMoney } from "../money/useMoney";
import { useTimeline } from "../stream/useTimeline";
import { ErrorNote } from "../ui/ErrorNote";
import { Icon } from "../ui/icons";
import { NotFound } from "../ui/NotFound";
import { Page } from "../ui/Page";
import { LINK_STATUS, LinkBadge, LockedBadge } from "../ui/StatusBadge";
import { Advice } from "./Advice";
import { CancelButton } from "./CancelButton";
import { Deliveries } from "./Deliveries";
import { Details } from "./Details";
import { Handouts } from "./Handouts";
import { HeldPayment } from "./HeldPayment";
import { LateMoney } from "./LateMoney";
import classes from "./link.module.css";
import { isLocked } from "./lock";
import { Locked } from "./Locked";
import { isOpen } from "./open";
import { Payments } from "./Payments";
import { Progress } from "./Progress";
import { Timeline } from "./Timeline";
import { Words } from "./Words";

export function LinkPage({ id }: { id: string }) {
  const link = useLink(id);
  if (link.error instanceof ApiError && link.error.status === 404) return <NotFound what="payment link" />;
  if (link.data) return <Loaded link={link.data} />;
  return (
    <Page title="Payment link" heading="Payment link">
      {link.error ? (
        <ErrorNote error={link.error} retry={() => void link.refetch()} />
      ) : (
        <Stack role="status" aria-label="Loading the link">
          <Skeleton height={40} width="50%" />
          <Skeleton height={90} />
          <Skeleton height={260} />
        </Stack>
      )}
    </Page>
  );
}

function Loaded({ link }: { link: Link }) {
  const money = useMoney();
  const timeline = useTimeline(link.id);
  const payments = usePayments(link.id);
  const amount = money(link.amount, link.currency);
  const about = [link.customer?.name, link.description, link.reference].filter(Boolean).join(" · ");
  return (
    <>
      <Anchor component={RouterLink} href="/" size="sm" className={classes.back}>
        <Icon name="back" size={16} /> Payment links
      </Anchor>
      <Page
        title={`${LINK_STATUS[link.status].label}: ${amount}${link.reference ? `, ${link.reference}` : ""}`}
        heading={
          <Group gap="sm" component="span">
            {amount}
            <LinkBadge status={link.status} />
            {isLocked(link) && <LockedBadge />}
          </Group>
        }
        actions={isOpen(link) && <CancelButton link={link} />}
      >
        {link.amount_paid > 0 && link.amount_paid < link.amount && (
          <Text mt={-14} mb="md" fw={600}>
            {money(link.amount_paid, link.currency)} paid,{" "}
            {money(link.amount - link.amount_paid, link.currency)} left
          </Text>
        )}
        {about && (
          <Text c="dimmed" mt={-14} mb="md">
            {about}
          </Text>
        )}
        <Stack gap="md" mb="lg">
          <Words link={link} />
          <Advice events={timeline.events} />
          <Locked link={link} />
          <LateMoney payments={payments.data ?? []} />
          <HeldPayment payments={payments.data ?? []} events={timeline.events} />
          <Progress events={timeline.events} />
        </Stack>
        <div className={classes.columns}>
          <Timeline {...timeline} />
          <div className={classes.side}>
            <div className={classes.first}>
              <Handouts link={link} />
            </div>
            <Deliveries link={link} />
            <Payments payments={payments.data} error={payments.error} />
            <Details link={link} />
          </div>
        </div>
      </Page>
    </>
  );
}
