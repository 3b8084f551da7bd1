import { Checkbox, Grid, NativeSelect, Stack, TextInput } from "@mantine/core";
import type { Currency } from "../api/types";
import { example, formatAmount, parseAmount } from "../money/money";
import { CUSTOM_EXPIRY, EXPIRIES } from "./draft";
import { Fieldset } from "./Fieldset";
import { useLinkFormContext } from "./form";

export function PaymentFields({ currencies }: { currencies: Currency[] }) {
  const form = useLinkFormContext();
  const { amount, currency: code, expiry, parts } = form.values;
  const currency = currencies.find((one) => one.code === code);
  const exponent = currency?.exponent ?? 0;
  return (
    <Fieldset legend="Payment">
      <Grid gap="md">
        <Grid.Col span={{ base: 12, xs: 6 }}>
          <TextInput
            label="Amount"
            inputMode={exponent > 0 ? "decimal" : "numeric"}
            placeholder={example(exponent)}
            autoComplete="off"
            description={currency && echo(amount, currency)}
            inputWrapperOrder={["label", "input", "description", "error"]}
            {...form.getInputProps("amount")}
          />
        </Grid.Col>
        <Grid.Col span={{ base: 12, xs: 6 }}>
          <NativeSelect label="Currency" {...form.getInputProps("currency")}>
            {currencies.map((one) => (
              <option key={one.code} value={one.code}>
                {one.code} – {one.name}
              </option>
            ))}
          </NativeSelect>
        </Grid.Col>
      </Grid>
      <Checkbox
        label="Allow paying in parts"
        description="The customer chooses how much to pay now and pays the rest later"
        {...form.getInputProps("parts", { type: "checkbox" })}
      />
      {parts && currency && <MinimumField currency={currency} />}
      <TextInput
        label="Description"
        placeholder="What the customer pays for"
        {...form.getInputProps("description")}
      />
      <Grid gap="md">
        <Grid.Col span={{ base: 12, xs: 6 }}>
          <TextInput label="Reference" placeholder="INV-1042" {...form.getInputProps("reference")} />
        </Grid.Col>
        <Grid.Col span={{ base: 12, xs: 6 }}>
          <Stack gap="xs">
            <NativeSelect label="Expires" data={EXPIRIES} {...form.getInputProps("expiry")} />
            {expiry === CUSTOM_EXPIRY && (
              <TextInput type="datetime-local" aria-label="Expires at" {...form.getInputProps("expiresAt")} />
            )}
          </Stack>
        </Grid.Col>
      </Grid>
    </Fieldset>
  );
}

/** The least that may be paid at once. */
function MinimumField({ currency }: { currency: Currency }) {
  const form = useLinkFormContext();
  const parsed = parseAmount(form.values.minimum, currency);
  const minimum = parsed.ok ? formatAmount(parsed.minor, currency.code, currency.exponent) : null;
  return (
    <TextInput
      label="At least"
      inputMode={currency.exponent > 0 ? "decimal" : "numeric"}
      placeholder={example(currency.exponent)}
      autoComplete="off"
      description={minimum ? `Each payment is ${minimum} or more` : "The least that can be paid at once"}
      inputWrapperOrder={["label", "input", "description", "error"]}
      {...form.getInputProps("minimum")}
    />
  );
}

/** The amount as paylink understood it, so that "1,234" holds no surprise. */
function echo(text: string, currency: Currency): string | null {
  const parsed = parseAmount(text, currency);
  return parsed.ok
    ? `The customer pays ${formatAmount(parsed.minor, currency.code, currency.exponent)}`
    : null;
}
