import { Grid, NativeSelect, TextInput } from "@mantine/core";
import { AddressInput } from "../ui/AddressInput";
import { WORDS_LANGUAGE } from "../ui/time";
import { Fieldset } from "./Fieldset";
import { useLinkFormContext } from "./form";

const LANGUAGES = [
  "en",
  "en-US",
  "ar",
  "cs",
  "da",
  "de",
  "el",
  "es",
  "fi",
  "fr",
  "hi",
  "hu",
  "it",
  "ja",
  "ko",
  "nb",
].concat(["nl", "pl", "pt", "pt-BR", "ro", "sv", "th", "tr", "uk", "vi", "zh-Hans", "zh-Hant"]);
const names = new Intl.DisplayNames(WORDS_LANGUAGE, { type: "language" });
const OPTIONS = [
  { value: "", label: "As the customer's browser" },
  ...LANGUAGES.map((tag) => ({ value: tag, label: names.of(tag) ?? tag })).sort((a, b) =>
    a.label.localeCompare(b.label),
  ),
];

export function CustomerFields() {
  const form = useLinkFormContext();
  const half = { base: 12, xs: 6 };
  return (
    <Fieldset legend="Customer">
      <Grid gap="md">
        <Grid.Col span={12}>
          <TextInput label="Name" autoComplete="off" {...form.getInputProps("customer.name")} />
        </Grid.Col>
        <Grid.Col span={half}>
          <AddressInput
            label="Phone"
            kind="phone"
            channel="sms"
            {...form.getInputProps("customer.phone")}
            value={form.values.customer.phone}
          />
        </Grid.Col>
        <Grid.Col span={half}>
          <AddressInput
            label="Email"
            kind="email"
            channel="email"
            {...form.getInputProps("customer.email")}
            value={form.values.customer.email}
          />
        </Grid.Col>
        <Grid.Col span={half}>
          <NativeSelect label="Language" data={OPTIONS} {...form.getInputProps("customer.locale")} />
        </Grid.Col>
        <Grid.Col span={half}>
          <TextInput
            label="Customer number"
            placeholder="As in your own system"
            autoComplete="off"
            {...form.getInputProps("customer.external_id")}
          />
        </Grid.Col>
      </Grid>
    </Fieldset>
  );
}
