import { Badge, Button, Container, Group, Menu, Text } from "@mantine/core";
import { useMutation } from "@tanstack/react-query";
import type { ReactNode } from "react";
import { Link, useRoute } from "wouter";
import { useDisputes } from "../api/queries";
import { needsAnswer } from "../money/words";
import { useSession } from "../session/session";
import type { Connection } from "../stream/connection";
import { Brand } from "./Brand";
import { ErrorNote } from "./ErrorNote";
import { Icon } from "./icons";
import { PauseBanner } from "./PauseBanner";
import { SchemeMenu } from "./SchemeMenu";
import classes from "./Shell.module.css";

interface ShellProps {
  connection: Connection;
  /** The stream follows one link only. */
  narrowed: boolean;
  children: ReactNode;
}

export function Shell({ connection, narrowed, children }: ShellProps) {
  return (
    <>
      <a className={classes.skip} href="#main">
        Skip to content
      </a>
      <header className={classes.header}>
        <Container size="xl" className={classes.bar}>
          <Link href="/" className={classes.brand} aria-label="paylink, all payment links">
            <Brand />
          </Link>
          <nav aria-label="Main" className={classes.nav}>
            <NavLink href="/" also="/links/:id" label="Links" />
            <DisputesLink />
            <NavLink href="/settings" also="/settings/*?" label="Settings" />
          </nav>
          <Group gap={4} ml="auto" wrap="nowrap">
            <Mode />
            <SchemeMenu />
            <AgentMenu />
          </Group>
        </Container>
      </header>
      <ConnectionNote connection={connection} />
      <PauseBanner narrowed={narrowed} />
      <Container size="xl" py="lg" component="main" id="main" tabIndex={-1} className={classes.main}>
        {children}
      </Container>
    </>
  );
}

/** With how many wait for an answer, if any do. */
function DisputesLink() {
  const waiting = useDisputes().data?.pages.flatMap((page) => page.data.filter(needsAnswer)).length ?? 0;
  return (
    <NavLink href="/disputes" label="Disputes">
      {waiting > 0 && (
        <Badge size="sm" circle={waiting < 10} color="red" ml={6}>
          {waiting}
          <span className="sr-only"> to answer</span>
        </Badge>
      )}
    </NavLink>
  );
}

interface NavLinkProps {
  href: string;
  also?: string;
  label: string;
  children?: ReactNode;
}

function NavLink({ href, also, label, children }: NavLinkProps) {
  const [exact] = useRoute(href);
  const [below] = useRoute(also ?? href);
  return (
    <Link href={href} className={classes.link} aria-current={exact ? "page" : below ? "true" : undefined}>
      {label}
      {children}
    </Link>
  );
}

function Mode() {
  const { me } = useSession();
  if (me.livemode) return null;
  return (
    <Badge variant="outline" color="orange" tt="none" className={classes.mode}>
      Test mode
    </Badge>
  );
}

function AgentMenu() {
  const { me, signOut } = useSession();
  const leave = useMutation({ mutationFn: signOut });
  const name = me.agent?.name ?? me.merchant.name;
  return (
    <Menu position="bottom-end" withinPortal closeOnItemClick={false}>
      <Menu.Target>
        <Button variant="subtle" color="gray" px="xs" maw={180} aria-label={`Account of ${name}`}>
          <Text span size="sm" truncate className={classes.name}>
            {name}
          </Text>
          <span className={classes.person}>
            <Icon name="person" />
          </span>
        </Button>
      </Menu.Target>
      <Menu.Dropdown miw={220}>
        <Menu.Label>
          {me.merchant.name}
          {me.agent && <Text size="xs">{me.agent.email}</Text>}
        </Menu.Label>
        <Menu.Divider />
        <Menu.Item onClick={() => leave.mutate()} disabled={leave.isPending}>
          Sign out
        </Menu.Item>
        <ErrorNote error={leave.error} />
      </Menu.Dropdown>
    </Menu>
  );
}

function ConnectionNote({ connection }: { connection: Connection }) {
  return (
    <div role="status" className={classes.connection}>
      {connection === "offline" && <div className={classes.offline}>Offline – reconnecting</div>}
    </div>
  );
}
