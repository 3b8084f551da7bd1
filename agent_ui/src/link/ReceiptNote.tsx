import { Text } from "@mantine/core";
import type { Receipt } from "../api/types";
import { channelPhrase } from "../ui/channels";
import { absoluteTime, shortTime } from "../ui/time";

export function ReceiptNote({ receipt }: { receipt: Receipt }) {
  const how = channelPhrase(receipt.channel);
  if (receipt.status === "failed") {
    return (
      <Text size="sm" c="var(--mantine-color-error)" mt={4}>
        Receipt could not be sent {how}
      </Text>
    );
  }
  return (
    <Text size="sm" c="dimmed" mt={4}>
      {receipt.status === "sent" && receipt.sent_at ? (
        <>
          Receipt sent {how}{" "}
          <time dateTime={receipt.sent_at} title={absoluteTime(receipt.sent_at)}>
            {shortTime(receipt.sent_at)}
          </time>
        </>
      ) : (
        `Sending the receipt ${how}`
      )}
    </Text>
  );
}
