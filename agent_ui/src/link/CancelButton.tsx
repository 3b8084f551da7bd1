import { Button, Text } from "@mantine/core";
import { useDisclosure } from "@mantine/hooks";
import { useQueryClient } from "@tanstack/react-query";
import { cancelLink } from "../api/links";
import { keys } from "../api/queries";
import type { Link } from "../api/types";
import { Confirm } from "../ui/Confirm";

export function CancelButton({ link }: { link: Link }) {
  const queries = useQueryClient();
  const [opened, dialog] = useDisclosure();
  const cancel = async () => {
    await cancelLink(link.id);
    void queries.invalidateQueries({ queryKey: keys.link(link.id) });
  };
  return (
    <>
      <Button variant="default" onClick={dialog.open}>
        Cancel link
      </Button>
      <Confirm
        opened={opened}
        onClose={dialog.close}
        title="Cancel this link?"
        confirm="Cancel the link"
        color="red"
        action={cancel}
      >
        <Text size="sm">
          The customer can no longer pay with it. Every message that was sent stops working.
        </Text>
      </Confirm>
    </>
  );
}
