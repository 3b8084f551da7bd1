import { Button, Text } from "@mantine/core";
import { useDisclosure } from "@mantine/hooks";
import { useQueryClient } from "@tanstack/react-query";
import { withdraw } from "../api/deliveries";
import { keys } from "../api/queries";
import type { Delivery } from "../api/types";
import { channelPhrase } from "../ui/channels";
import { Confirm } from "../ui/Confirm";

/** Closes one door to the link; the others stay open. */
export function WithdrawButton({ link, delivery }: { link: string; delivery: Delivery }) {
  const queries = useQueryClient();
  const [opened, dialog] = useDisclosure();
  const phrase = channelPhrase(delivery.channel);
  const act = async () => {
    await withdraw(link, delivery.id);
    void queries.invalidateQueries({ queryKey: keys.link(link) });
  };
  return (
    <>
      <Button
        size="compact-sm"
        variant="subtle"
        color="gray"
        onClick={dialog.open}
        aria-label={`Withdraw what was sent ${phrase}`}
      >
        Withdraw
      </Button>
      <Confirm
        opened={opened}
        onClose={dialog.close}
        title={`Withdraw what was sent ${phrase}?`}
        confirm="Withdraw"
        color="red"
        action={act}
      >
        <Text size="sm">
          Its address opens nothing any more. The link itself stays, and can be sent again.
        </Text>
      </Confirm>
    </>
  );
}
