import { describe, expect, it } from "vitest";
import type { ChannelAccount, ProviderField } from "../api/types";
import { configFrom, sortComplaints, typedFrom } from "./config";

const field = (name: string, more: Partial<ProviderField> = {}): ProviderField => ({
  name,
  title: name,
  description: "",
  type: "string",
  choices: null,
  required: false,
  secret: false,
  default: null,
  ...more,
});

const FIELDS = [
  field("host", { required: true }),
  field("port", { type: "integer", default: 587 }),
  field("password", { secret: true }),
  field("tls", { type: "boolean", default: true }),
];

describe("an account's form", () => {
  it("opens with the defaults, or with what is stored but for secrets", () => {
    expect(typedFrom(FIELDS)).toEqual({ host: "", port: "587", password: "", tls: true });
    const account = { config: { host: "mail.example", port: 25, tls: false } } as unknown as ChannelAccount;
    expect(typedFrom(FIELDS, account)).toEqual({
      host: "mail.example",
      port: "25",
      password: "",
      tls: false,
    });
  });

  it("sends numbers as numbers, clears what was emptied and keeps a secret that was not typed", () => {
    expect(configFrom(FIELDS, { host: " mail.example ", port: "25", password: "", tls: true })).toEqual({
      host: "mail.example",
      port: 25,
      tls: true,
    });
    expect(configFrom(FIELDS, { host: "", port: "", password: "x", tls: true })).toEqual({
      port: null,
      password: "x",
      tls: true,
    });
    expect(configFrom(FIELDS, { host: "a", port: "abc", password: "", tls: true }).port).toBe("abc");
  });

  it("puts each complaint where it belongs", () => {
    const complaint = (name: string) => ({ field: name, code: "x", message: `about ${name}` });
    expect(sortComplaints([complaint("config.port"), complaint("name"), complaint("provider")])).toEqual({
      fields: { port: "about config.port", "": "about name" },
      others: ["about provider"],
    });
  });
});
