import type { ReactNode } from "react";
import { Link, useRoute } from "wouter";
import { Page } from "../ui/Page";
import classes from "./settings.module.css";

interface SettingsFrameProps {
  title: string;
  children: ReactNode;
}

/** What all settings pages have around them. */
export function SettingsFrame({ title, children }: SettingsFrameProps) {
  return (
    <Page title={`${title}, settings`} heading="Settings">
      <nav aria-label="Settings" className={classes.tabs}>
        <Tab href="/settings" label="API keys" />
        <Tab href="/settings/channels" label="Channels" />
        <Tab href="/settings/messages" label="Messages" />
        <Tab href="/settings/opt-outs" label="Opt-outs" />
        <Tab href="/settings/audit" label="Audit" />
      </nav>
      {children}
    </Page>
  );
}

function Tab({ href, label }: { href: string; label: string }) {
  const [here] = useRoute(href);
  return (
    <Link href={href} className={classes.tab} aria-current={here ? "page" : undefined}>
      {label}
    </Link>
  );
}
