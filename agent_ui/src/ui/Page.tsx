import { Group, Title } from "@mantine/core";
import { type ReactNode, useEffect, useRef } from "react";

interface PageProps {
  /** In the tab, before the product's name. */
  title: string;
  heading: ReactNode;
  actions?: ReactNode;
  children: ReactNode;
}

let visited = false;

/** A page's frame: names the tab and, after a change of page, moves the focus to the heading as a new page would. */
export function Page({ title, heading, actions, children }: PageProps) {
  const top = useRef<HTMLHeadingElement>(null);

  useEffect(() => {
    document.title = `${title} – paylink`;
  }, [title]);

  useEffect(() => {
    if (visited) top.current?.focus();
    visited = true;
  }, []);

  return (
    <>
      <Group justify="space-between" mb="lg" gap="sm">
        <Title order={1} size="h2" ref={top} tabIndex={-1} className="page-heading">
          {heading}
        </Title>
        {actions}
      </Group>
      {children}
    </>
  );
}
