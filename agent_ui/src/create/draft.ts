/** The new-link form's values, what they become on the wire, and where the API's complaints belong. */
import type { FieldError } from "../api/problem";
import type { ChannelName, LinkDraft } from "../api/types";
import { formatAmount, type Parsed, parseAmount, type Unit } from "../money/money";
import { CHANNELS } from "../ui/channels";

export interface Values {
  amount: string;
  currency: string;
  /** Whether the customer may pay in parts, each of `minimum` or more. */
  parts: boolean;
  minimum: string;
  description: string;
  reference: string;
  customer: { name: string; phone: string; email: string; locale: string; external_id: string };
  /** Seconds from now, or "custom" for `expiresAt`. */
  expiry: string;
  expiresAt: string;
  channels: ChannelName[];
  /** One channel after the other, the next when the one before did not arrive; else all at once. */
  inTurn: boolean;
}

export const CUSTOM_EXPIRY = "custom";

export const EXPIRIES = [
  { value: "3600", label: "In 1 hour" },
  { value: "86400", label: "In 24 hours" },
  { value: "259200", label: "In 3 days" },
  { value: "604800", label: "In 7 days" },
  { value: "2592000", label: "In 30 days" },
  { value: CUSTOM_EXPIRY, label: "At a chosen time" },
];

export const emptyValues = (currency: string): Values => ({
  amount: "",
  currency,
  parts: false,
  minimum: "",
  description: "",
  reference: "",
  customer: { name: "", phone: "", email: "", locale: "", external_id: "" },
  expiry: "86400",
  expiresAt: "",
  channels: [],
  inTurn: false,
});

const filled = (text: string) => text.trim() || undefined;

function customerOf({ customer }: Values): LinkDraft["customer"] {
  const entries = Object.entries(customer).flatMap(([name, text]) =>
    filled(text) ? [[name, text.trim()] as const] : [],
  );
  return entries.length > 0 ? Object.fromEntries<string>(entries) : undefined;
}

export function addressFor(channel: ChannelName, customer: Values["customer"]): string | undefined {
  const kind = CHANNELS[channel].address;
  return kind ? filled(customer[kind]) : undefined;
}

export function toDraft(values: Values, minor: number, minimum?: number): LinkDraft {
  const custom = values.expiry === CUSTOM_EXPIRY;
  return {
    amount: minor,
    currency: values.currency,
    minimum_amount: minimum,
    description: filled(values.description),
    reference: filled(values.reference),
    customer: customerOf(values),
    expires_in: custom ? undefined : Number(values.expiry),
    expires_at: custom ? new Date(values.expiresAt).toISOString() : undefined,
    deliver: deliveriesOf(values),
  };
}

/** What can follow another: a channel that has an address to send to by itself. */
export const sendable = (channels: ChannelName[]) => channels.filter((name) => CHANNELS[name].address);

function deliveriesOf(values: Values): LinkDraft["deliver"] {
  const sends = values.channels.map((channel) => ({ channel, to: addressFor(channel, values.customer) }));
  const inLine = sends.filter(({ channel }) => CHANNELS[channel].address);
  const [first, ...rest] = inLine;
  if (!values.inTurn || !first || rest.length === 0) return sends;
  return [{ ...first, fallback: rest }, ...sends.filter((one) => !inLine.includes(one))];
}

/** The least that may be paid at once: null where it is all or nothing. It cannot be judged without the amount. */
export function minimumOf(values: Values, currency: Unit, amount: Parsed): Parsed | null {
  if (!values.parts || !amount.ok) return null;
  const minimum = parseAmount(values.minimum, currency);
  if (minimum.ok && minimum.minor > amount.minor) {
    const most = formatAmount(amount.minor, currency.code, currency.exponent);
    return { ok: false, message: `At most the whole ${most}` };
  }
  return minimum;
}

const RENAMED: Record<string, string> = {
  minimum_amount: "minimum",
  expires_in: "expiry",
  expires_at: "expiresAt",
  deliver: "channels",
};
const FIELDS = new Set([
  "amount",
  "currency",
  "minimum",
  "description",
  "reference",
  "expiry",
  "expiresAt",
  "channels",
  ...Object.keys(emptyValues("").customer).map((name) => `customer.${name}`),
]);

/** `deliver.0.to` is the phone or email field of the customer; null for what this form has no field for. */
export function fieldOf(apiField: string, channels: ChannelName[]): string | null {
  const delivery = /^deliver\.(\d+)(?:\.(\w+))?$/.exec(apiField);
  if (delivery) {
    const channel = channels[Number(delivery[1])];
    const kind = channel && CHANNELS[channel].address;
    return delivery[2] === "to" && kind ? `customer.${kind}` : "channels";
  }
  const name = RENAMED[apiField] ?? apiField;
  return FIELDS.has(name) ? name : null;
}

export interface SortedErrors {
  fields: Record<string, string>;
  others: string[];
}

export function sortErrors(errors: FieldError[], channels: ChannelName[]): SortedErrors {
  const sorted: SortedErrors = { fields: {}, others: [] };
  for (const { field, message } of errors) {
    const name = fieldOf(field, channels);
    if (name) sorted.fields[name] ??= message;
    else sorted.others.push(field ? `${field}: ${message}` : message);
  }
  return sorted;
}

/** What can be said without asking the API. Addresses and limits are the API's to judge. */
export function findMistakes(
  values: Values,
  amountError: string | null,
  now: number,
  minimumError: string | null = null,
): Record<string, string> {
  const mistakes: Record<string, string> = {};
  if (amountError) mistakes.amount = amountError;
  if (minimumError) mistakes.minimum = minimumError;
  if (values.expiry === CUSTOM_EXPIRY && !(Date.parse(values.expiresAt) > now)) {
    mistakes.expiresAt = "Choose a time that is still to come";
  }
  for (const channel of values.channels) {
    const known = CHANNELS[channel];
    if (known.address && !addressFor(channel, values.customer)) {
      const what = known.address === "phone" ? "a phone number" : "an email address";
      mistakes[`customer.${known.address}`] = `${known.label} needs ${what}`;
    }
  }
  return mistakes;
}
