import { Alert, Button, Group, Modal, Stack, TextInput } from "@mantine/core";
import { useMutation } from "@tanstack/react-query";
import { type SubmitEvent, useState } from "react";
import { testAccount } from "../api/channels";
import type { ChannelAccount } from "../api/types";
import { CHANNELS } from "../ui/channels";
import { ErrorNote } from "../ui/ErrorNote";

interface TestSendProps {
  account: ChannelAccount;
  opened: boolean;
  onClose: () => void;
}

/** A real message to an address of the agent's own, and what the provider said. */
export function TestSend({ account, opened, onClose }: TestSendProps) {
  const [to, setTo] = useState("");
  const test = useMutation({ mutationFn: () => testAccount(account.id, to.trim()) });
  const submit = (event: SubmitEvent) => {
    event.preventDefault();
    if (!test.isPending && to.trim()) test.mutate();
  };
  const close = () => {
    test.reset();
    onClose();
  };
  const phone = CHANNELS[account.channel].address === "phone";
  return (
    <Modal
      opened={opened}
      onClose={close}
      title={`Test ${account.name}`}
      centered
      closeButtonProps={{ "aria-label": "Close" }}
    >
      <form onSubmit={submit} noValidate>
        <Stack>
          <TextInput
            label="To"
            description="An address of your own. The message holds no payment link."
            placeholder={phone ? "+44 7700 900123" : undefined}
            value={to}
            onChange={(event) => setTo(event.currentTarget.value)}
          />
          <ErrorNote error={test.error} />
          {test.data && (
            <Alert color={test.data.ok ? "green" : "red"} role="status">
              {test.data.ok
                ? "Handed over. Look whether it arrived."
                : (test.data.reason ?? "It was not sent.")}
            </Alert>
          )}
          <Group justify="flex-end">
            <Button variant="default" onClick={close}>
              Back
            </Button>
            <Button type="submit" loading={test.isPending} disabled={!to.trim()}>
              Send a test message
            </Button>
          </Group>
        </Stack>
      </form>
    </Modal>
  );
}
