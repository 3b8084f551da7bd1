import { Alert, Text } from "@mantine/core";
import type { LinkEvent } from "../api/types";
import { useMoney } from "../money/useMoney";
import { factsOf } from "../stream/facts";
import { tell } from "../stream/sentences";
import { standingAdvice } from "../stream/timeline";
import { Icon } from "../ui/icons";

/** After a failed payment: the sentence to read out, until the customer tries again. */
export function Advice({ events }: { events: LinkEvent[] }) {
  const money = useMoney();
  const event = standingAdvice(events);
  const told = event && tell(event.type, factsOf(event.data, money));
  if (!told) return null;
  return (
    <Alert color="red" icon={<Icon name="megaphone" />} title={told.text} role="alert">
      {told.advice && (
        <>
          <Text size="xs" c="dimmed">
            Read out to the customer
          </Text>
          <Text size="lg" fw={600}>
            “{told.advice}”
          </Text>
        </>
      )}
    </Alert>
  );
}
