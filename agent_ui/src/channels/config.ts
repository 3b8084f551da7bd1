/** What is typed into an account's form, and what of it goes to the API. */
import type { FieldError } from "../api/problem";
import type { ChannelAccount, ProviderField } from "../api/types";

export type Typed = Record<string, string | boolean>;

const textOf = (value: unknown): string =>
  typeof value === "string" ? value : typeof value === "number" ? String(value) : "";

/** The form as it opens: what is stored, else the default. A secret is never shown. */
export function typedFrom(fields: ProviderField[], account?: ChannelAccount): Typed {
  return Object.fromEntries(
    fields.map((field): [string, string | boolean] => {
      const value: unknown = account ? account.config[field.name] : field.default;
      if (field.type === "boolean") return [field.name, value === true];
      return [field.name, field.secret ? "" : textOf(value)];
    }),
  );
}

/** Left out: what is empty, so that defaults hold and a stored secret stays. */
export function configFrom(fields: ProviderField[], typed: Typed): Record<string, unknown> {
  return Object.fromEntries(
    fields.flatMap((field): [string, unknown][] => {
      const value = typed[field.name];
      if (typeof value === "boolean") return [[field.name, value]];
      const text = field.type === "text" ? value : value?.trim();
      if (!text) return field.required || field.secret ? [] : [[field.name, null]];
      return [[field.name, field.type === "integer" && /^-?\d+$/.test(text) ? Number(text) : text]];
    }),
  );
}

/** `config.port` belongs to the field `port`; what belongs nowhere is told above the form. */
export function sortComplaints(errors: FieldError[]): { fields: Record<string, string>; others: string[] } {
  const sorted = { fields: {} as Record<string, string>, others: [] as string[] };
  for (const { field, message } of errors) {
    const name = field.replace(/^config\./, "").split(".", 1)[0] ?? "";
    if (field.startsWith("config.")) sorted.fields[name] ??= message;
    else if (field === "name") sorted.fields[""] ??= message;
    else sorted.others.push(message);
  }
  return sorted;
}
