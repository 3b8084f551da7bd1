/** What the console knows of each channel: its name, and what kind of address it needs. */
import type { ChannelName, Me } from "../api/types";

export type Address = "phone" | "email" | null;

interface Channel {
  label: string;
  /** After "sent". */
  phrase: string;
  hint: string;
  address: Address;
}

export const CHANNELS: Record<ChannelName, Channel> = {
  sms: { label: "SMS", phrase: "by SMS", hint: "to the customer's phone", address: "phone" },
  email: { label: "Email", phrase: "by email", hint: "to the customer's address", address: "email" },
  whatsapp: {
    label: "WhatsApp",
    phrase: "by WhatsApp",
    hint: "to the customer's WhatsApp",
    address: "phone",
  },
  chat: { label: "Chat", phrase: "through chat", hint: "a link to paste into a conversation", address: null },
  qr: {
    label: "QR code",
    phrase: "as a QR code",
    hint: "on this screen, for the customer to scan",
    address: null,
  },
  other: {
    label: "Another app",
    phrase: "by another app",
    hint: "text and link to paste where you are talking",
    address: null,
  },
};

const isChannel = (name: string): name is ChannelName => name in CHANNELS;

/** Also for channels that a newer server knows and this console does not. */
export const channelPhrase = (name: string): string =>
  isChannel(name) ? CHANNELS[name].phrase : `by ${name}`;

interface Choice {
  name: ChannelName;
  available: boolean;
}

export const choicesFor = ({ channels }: Me): Choice[] =>
  channels.flatMap(({ channel, available }) => (isChannel(channel) ? [{ name: channel, available }] : []));
