import { Paper, Skeleton, Stack, Text, Title } from "@mantine/core";
import { useDebouncedValue } from "@mantine/hooks";
import { useQuery } from "@tanstack/react-query";
import { preview } from "../api/deliveries";
import type { Currency, Preview, PreviewRequest } from "../api/types";
import { parseAmount } from "../money/money";
import { CHANNELS } from "../ui/channels";
import { ErrorNote } from "../ui/ErrorNote";
import classes from "./create.module.css";
import type { Values } from "./draft";
import { useLinkFormContext } from "./form";

const TYPING_MS = 400;

/** The messages as the customer will read them, for the channels chosen. */
export function MessagePreviews({ currencies }: { currencies: Currency[] }) {
  const { values } = useLinkFormContext();
  const channels = values.channels.filter((channel) => CHANNELS[channel].address);
  const body = requestOf(values, currencies);
  return (
    <Stack className={classes.previews}>
      {!body && channels.length > 0 && (
        <Text size="sm" c="dimmed">
          Enter an amount to see the message.
        </Text>
      )}
      {body && channels.map((channel) => <MessagePreview key={channel} body={{ ...body, channel }} />)}
    </Stack>
  );
}

function requestOf(values: Values, currencies: Currency[]): Omit<PreviewRequest, "channel"> | null {
  const currency = currencies.find(({ code }) => code === values.currency);
  const amount = currency && parseAmount(values.amount, currency);
  if (!amount?.ok) return null;
  return {
    amount: amount.minor,
    currency: values.currency,
    description: values.description.trim() || undefined,
    reference: values.reference.trim() || undefined,
    name: values.customer.name.trim() || undefined,
    language: values.customer.locale || undefined,
  };
}

function MessagePreview({ body }: { body: PreviewRequest }) {
  const [settled] = useDebouncedValue(JSON.stringify(body), TYPING_MS);
  const message = useQuery({
    queryKey: ["preview", settled],
    queryFn: () => preview(JSON.parse(settled) as PreviewRequest),
    placeholderData: (previous) => previous,
    retry: false,
  });
  return (
    <Paper withBorder p="md" component="section" aria-label={`${CHANNELS[body.channel].label} preview`}>
      <Stack gap="xs">
        <Title order={2} size="h6">
          {CHANNELS[body.channel].label} preview
        </Title>
        {message.isPending && <Skeleton height={60} />}
        <ErrorNote error={message.error} />
        {message.data?.subject && (
          <Text size="sm" fw={600}>
            {message.data.subject}
          </Text>
        )}
        {message.data && (
          <Text size="sm" className={classes.message}>
            {message.data.text}
          </Text>
        )}
        {message.data?.segments && <Segments segments={message.data.segments} />}
      </Stack>
    </Paper>
  );
}

function Segments({
  segments: { encoding, characters, segments },
}: {
  segments: NonNullable<Preview["segments"]>;
}) {
  const messages = segments === 1 ? "1 message" : `${segments} messages`;
  return (
    <Text size="xs" c="dimmed">
      {characters} characters, sent as {messages}
      {encoding === "UCS-2" && ". Letters outside the basic SMS alphabet leave less room per message"}
    </Text>
  );
}
