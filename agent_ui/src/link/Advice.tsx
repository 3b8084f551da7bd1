import { Alert } from "@mantine/core";
import type { LinkEvent } from "../api/types";
import { useMoney } from "../money/useMoney";
import { factsOf } from "../stream/facts";
import { tell } from "../stream/sentences";
import { standingAdvice } from "../stream/timeline";
import { Icon } from "../ui/icons";
import { ReadOut } from "../ui/ReadOut";

/** After a failed payment: the sentence to read out, until the customer tries again. */
export function Advice({ events }: { events: LinkEvent[] }) {
  const money = useMoney();
  const event = standingAdvice(events);
  if (!event) return null;
  const told = tell(event.type, factsOf(event.data, money));
  return (
    <Alert color="red" icon={<Icon name="megaphone" />} title={told.text} role="alert">
      {told.advice && <ReadOut>{told.advice}</ReadOut>}
    </Alert>
  );
}
