import { Text } from "@mantine/core";
import type { Link } from "../api/types";
import { isOpen } from "./open";

/** What the agent says aloud, so that the customer knows the message and the page for genuine. */
export function Words({ link }: { link: Link }) {
  if (!isOpen(link) || !link.session_words) return null;
  return (
    <Text size="sm">
      Say to the customer: the message and the page show the words <strong>{link.session_words}</strong>.
    </Text>
  );
}
