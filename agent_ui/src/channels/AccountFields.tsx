import { Checkbox, NativeSelect, PasswordInput, Stack, Text, Textarea, TextInput } from "@mantine/core";
import type { ChannelAccount, ProviderField } from "../api/types";
import type { Typed } from "./config";

interface AccountFieldsProps {
  fields: ProviderField[];
  typed: Typed;
  errors: Record<string, string>;
  /** The account that is changed: its secrets are there, and stay when nothing is typed. */
  account?: ChannelAccount;
  onType: (name: string, value: string | boolean) => void;
}

export function AccountFields({ fields, typed, errors, account, onType }: AccountFieldsProps) {
  return (
    <Stack gap="sm">
      {fields.map((field) => (
        <Field
          key={field.name}
          field={field}
          value={typed[field.name] ?? ""}
          error={errors[field.name]}
          kept={account?.secrets_set.includes(field.name) ?? false}
          onType={(value) => onType(field.name, value)}
        />
      ))}
      {account && <Text size="xs" c="dimmed">{`Callback address: ${account.callback_url}`}</Text>}
    </Stack>
  );
}

interface FieldProps {
  field: ProviderField;
  value: string | boolean;
  error: string | undefined;
  kept: boolean;
  onType: (value: string | boolean) => void;
}

function Field({ field, value, error, kept, onType }: FieldProps) {
  const shown = {
    label: field.title,
    description: field.description || undefined,
    error,
    withAsterisk: field.required && !kept,
  };
  if (typeof value === "boolean")
    return (
      <Checkbox
        label={field.title}
        description={shown.description}
        error={error}
        checked={value}
        onChange={(event) => onType(event.currentTarget.checked)}
      />
    );
  if (field.type === "choice")
    return (
      <NativeSelect
        {...shown}
        value={value}
        data={field.choices ?? []}
        onChange={(event) => onType(event.currentTarget.value)}
      />
    );
  const placeholder = kept ? "Set. Type to replace it" : undefined;
  const input = { ...shown, value, placeholder, autoComplete: "off" };
  if (field.type === "text")
    return (
      <Textarea {...input} autosize minRows={2} maxRows={8} onChange={(e) => onType(e.currentTarget.value)} />
    );
  if (field.secret)
    return (
      <PasswordInput {...input} autoComplete="new-password" onChange={(e) => onType(e.currentTarget.value)} />
    );
  return (
    <TextInput
      {...input}
      inputMode={field.type === "integer" ? "numeric" : undefined}
      onChange={(e) => onType(e.currentTarget.value)}
    />
  );
}
