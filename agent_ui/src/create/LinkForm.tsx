import { Alert, Button, Grid, Group, List, Stack } from "@mantine/core";
import { type SubmitEvent, useEffect, useRef, useState } from "react";
import { Link } from "wouter";
import { ApiError, messageOf } from "../api/problem";
import type { Currency } from "../api/types";
import { type Parsed, parseAmount } from "../money/money";
import { Icon } from "../ui/icons";
import { CustomerFields } from "./CustomerFields";
import { emptyValues, findMistakes, minimumOf, sortErrors, toDraft } from "./draft";
import { LinkFormProvider, useLinkForm } from "./form";
import { firstCurrency, rememberCurrency } from "./lastCurrency";
import { MessagePreviews } from "./MessagePreviews";
import { PaymentFields } from "./PaymentFields";
import { SendFields } from "./SendFields";
import { useCreate } from "./useCreate";

export function LinkForm({ currencies }: { currencies: Currency[] }) {
  const form = useLinkForm({
    initialValues: emptyValues(firstCurrency(currencies)),
    validateInputOnBlur: false,
  });
  const frame = useRef<HTMLFormElement>(null);
  const [trouble, setTrouble] = useState<string[]>([]);

  const [refusals, setRefusals] = useState(0);
  useEffect(() => {
    if (refusals > 0) focusFirstError(frame.current);
  }, [refusals]);

  const refuse = (fields: Record<string, string>, others: string[]) => {
    form.setErrors(fields);
    setTrouble(others);
    setRefusals((count) => count + 1);
  };

  const create = useCreate((error) => {
    const errors = error instanceof ApiError ? error.fields : [];
    const { fields, others } = sortErrors(errors, form.getValues().channels);
    refuse(fields, errors.length > 0 ? others : [messageOf(error)]);
  });

  const submit = (event: SubmitEvent) => {
    event.preventDefault();
    if (create.isPending) return;
    const values = form.getValues();
    const currency = currencies.find(({ code }) => code === values.currency);
    if (!currency) return;
    const amount = parseAmount(values.amount, currency);
    const minimum = minimumOf(values, currency, amount);
    const mistakes = findMistakes(values, messageFor(amount), Date.now(), messageFor(minimum));
    if (!amount.ok || Object.keys(mistakes).length > 0) {
      refuse(mistakes, []);
      return;
    }
    setTrouble([]);
    rememberCurrency(values.currency);
    create.mutate(toDraft(values, amount.minor, minimum?.ok ? minimum.minor : undefined));
  };

  return (
    <LinkFormProvider form={form}>
      <form ref={frame} onSubmit={submit} noValidate>
        <Grid gap="xl">
          <Grid.Col span={{ base: 12, md: 7 }}>
            <Stack gap="xl">
              <PaymentFields currencies={currencies} />
              <CustomerFields />
              <SendFields />
              <Trouble lines={trouble} />
              <Group>
                <Button type="submit" size="md" loading={create.isPending} leftSection={<Icon name="send" />}>
                  Create and send
                </Button>
                <Button component={Link} href="/" variant="subtle" color="gray" size="md">
                  Back to links
                </Button>
              </Group>
            </Stack>
          </Grid.Col>
          <Grid.Col span={{ base: 12, md: 5 }}>
            <MessagePreviews currencies={currencies} />
          </Grid.Col>
        </Grid>
      </form>
    </LinkFormProvider>
  );
}

const messageFor = (parsed: Parsed | null) => (parsed && !parsed.ok ? parsed.message : null);

function Trouble({ lines }: { lines: string[] }) {
  if (lines.length === 0) return null;
  return (
    <Alert color="red" icon={<Icon name="alert" />} title="The link was not made" role="alert">
      <List size="sm" listStyleType="none">
        {lines.map((line) => (
          <List.Item key={line}>{line}</List.Item>
        ))}
      </List>
    </Alert>
  );
}

function focusFirstError(frame: HTMLElement | null): void {
  frame?.querySelector<HTMLElement>(":is(input, select)[aria-invalid='true']")?.focus();
}
