import { Button, Group, Modal, Stack } from "@mantine/core";
import { useMutation } from "@tanstack/react-query";
import type { SubmitEvent, ReactNode } from "react";
import { ErrorNote } from "./ErrorNote";

interface ConfirmProps {
  opened: boolean;
  onClose: () => void;
  title: string;
  confirm: string;
  color?: string;
  /** Throws to keep the dialog open and say why. */
  action: () => Promise<unknown>;
  children: ReactNode;
}

/** A question before something that cannot be undone. Pressing twice does it once. */
export function Confirm({ opened, onClose, title, confirm, color, action, children }: ConfirmProps) {
  const run = useMutation({ mutationFn: action, onSuccess: () => close() });
  const close = () => {
    run.reset();
    onClose();
  };
  const submit = (event: SubmitEvent) => {
    event.preventDefault();
    if (!run.isPending) run.mutate();
  };
  return (
    <Modal
      opened={opened}
      onClose={close}
      title={title}
      centered
      closeButtonProps={{ "aria-label": "Close" }}
    >
      <form onSubmit={submit} noValidate>
        <Stack>
          {children}
          <ErrorNote error={run.error} />
          <Group justify="flex-end">
            <Button variant="default" onClick={close}>
              Back
            </Button>
            <Button type="submit" color={color} loading={run.isPending}>
              {confirm}
            </Button>
          </Group>
        </Stack>
      </form>
    </Modal>
  );
}
