import { Alert, Anchor, Button, Modal, Stack, Text } from "@mantine/core";
import { useDisclosure } from "@mantine/hooks";
import { useState } from "react";
import { qrAddress, qrForPrint } from "../api/deliveries";
import { Icon } from "../ui/icons";
import classes from "./link.module.css";

interface QrProps {
  link: string;
  delivery: string;
}

export function QrImage({ link, delivery, large = false }: QrProps & { large?: boolean }) {
  const [gone, setGone] = useState(false);
  if (gone)
    return (
      <Alert color="yellow">This code can no longer be shown. Send by QR code again for a new one.</Alert>
    );
  return (
    <Stack gap="xs" align="center">
      <img
        className={large ? `${classes.qr} ${classes.large}` : classes.qr}
        src={qrAddress(link, delivery, "svg")}
        alt="QR code that opens the payment page"
        onError={() => setGone(true)}
      />
      <Text size="sm" ta="center">
        The customer scans this with their phone's camera.
      </Text>
      <Anchor size="sm" href={qrAddress(link, delivery, "png")} download={`${link}.png`}>
        Save as an image
      </Anchor>
      <Anchor size="sm" href={qrForPrint(link, delivery)} download={`${link}.svg`}>
        Save for print
      </Anchor>
    </Stack>
  );
}

export function QrButton(props: QrProps) {
  const [opened, dialog] = useDisclosure();
  return (
    <>
      <Button
        size="compact-sm"
        variant="default"
        leftSection={<Icon name="qr" size={15} />}
        onClick={dialog.open}
      >
        Show QR
      </Button>
      <Modal
        opened={opened}
        onClose={dialog.close}
        title="Scan to pay"
        size="lg"
        centered
        closeButtonProps={{ "aria-label": "Close" }}
      >
        <QrImage {...props} large />
      </Modal>
    </>
  );
}
