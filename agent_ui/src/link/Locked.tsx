import { Alert, Button, Stack, Text } from "@mantine/core";
import { useDisclosure } from "@mantine/hooks";
import { useQueryClient } from "@tanstack/react-query";
import { unlockLink } from "../api/links";
import { isApiError } from "../api/problem";
import { keys } from "../api/queries";
import type { Link, LinkLock } from "../api/types";
import { LOCK_REASON } from "../money/words";
import { Confirm } from "../ui/Confirm";
import { Icon } from "../ui/icons";
import { ReadOut } from "../ui/ReadOut";
import { shortTime } from "../ui/time";
import { isLocked } from "./lock";

const WHY: Record<LinkLock["reason"], string> = {
  too_many_attempts: "Too many tries to pay with this link were declined.",
  too_many_cards: "Too many different cards were tried with this link and declined.",
};

/** A link that takes no more tries until the agent says so, and what to say to the customer meanwhile. */
export function Locked({ link }: { link: Link }) {
  return isLocked(link) && link.lock ? <Notice link={link} lock={link.lock} /> : null;
}

function Notice({ link, lock }: { link: Link; lock: LinkLock }) {
  const queries = useQueryClient();
  const [opened, dialog] = useDisclosure();

  const unlock = async () => {
    await unlockLink(link.id).catch((error: unknown) => {
      // Somebody else was faster, or the link has ended: the page is told anew either way.
      if (!isApiError(error, "link_not_locked")) throw error;
    });
    void queries.invalidateQueries({ queryKey: keys.link(link.id) });
  };

  return (
    <Alert
      color="red"
      icon={<Icon name="lock" />}
      title={`${LOCK_REASON[lock.reason]}: locked ${shortTime(lock.at)}`}
    >
      <Stack gap="sm" align="flex-start">
        <Text size="sm">{WHY[lock.reason]} Nobody can pay with it until you allow more tries.</Text>
        <ReadOut>
          For your safety this payment page takes no more tries for now. Please ask your bank why it said no,
          or have another card ready, and tell me when you want to try again.
        </ReadOut>
        <Button variant="default" onClick={dialog.open}>
          Allow more tries
        </Button>
      </Stack>
      <Confirm
        opened={opened}
        onClose={dialog.close}
        title="Allow more tries?"
        confirm="Allow more tries"
        action={unlock}
      >
        <Text size="sm">
          Do so only while you know who is trying to pay. Many declined cards on one link is also what a test
          of stolen cards looks like.
        </Text>
      </Confirm>
    </Alert>
  );
}
