import { describe, expect, it } from "vitest";
import { emptyValues, fieldOf, findMistakes, sortErrors, toDraft, type Values } from "./draft";

const values = (changes: Partial<Values> = {}): Values => ({ ...emptyValues("GBP"), ...changes });
const customer = { ...emptyValues("GBP").customer, name: " Ada ", phone: "+447700900123" };

describe("toDraft", () => {
  it("sends only what was filled in", () => {
    expect(JSON.parse(JSON.stringify(toDraft(values(), 4999)))).toEqual({
      amount: 4999,
      currency: "GBP",
      expires_in: 86400,
      deliver: [],
    });
  });

  it("gives each channel the address it needs", () => {
    const draft = toDraft(values({ customer, channels: ["sms", "qr"] }), 4999);
    expect(draft.customer).toEqual({ name: "Ada", phone: "+447700900123" });
    expect(draft.deliver).toEqual([{ channel: "sms", to: "+447700900123" }, { channel: "qr" }]);
  });

  it("turns a chosen local time into UTC", () => {
    const draft = toDraft(values({ expiry: "custom", expiresAt: "2030-05-01T12:00" }), 1);
    expect(draft.expires_in).toBeUndefined();
    expect(draft.expires_at).toBe(new Date("2030-05-01T12:00").toISOString());
  });
});

describe("errors", () => {
  it.each([
    ["customer.phone", "customer.phone"],
    ["deliver.0.to", "customer.email"],
    ["deliver.1.to", "customer.phone"],
    ["deliver.2.to", "channels"],
    ["deliver.0.channel", "channels"],
    ["deliver", "channels"],
    ["expires_at", "expiresAt"],
    ["metadata.x", null],
  ])("puts %s at %s", (field, expected) => {
    expect(fieldOf(field, ["email", "sms", "qr"])).toBe(expected);
  });

  it("keeps the first message per field and what has no field", () => {
    const error = (field: string, message: string) => ({ field, code: "invalid", message });
    const sorted = sortErrors([error("amount", "one"), error("amount", "two"), error("metadata", "odd")], []);
    expect(sorted).toEqual({ fields: { amount: "one" }, others: ["metadata: odd"] });
  });

  it("asks for the address a channel needs, and for a time to come", () => {
    const wrong = values({
      channels: ["sms", "email", "chat"],
      expiry: "custom",
      expiresAt: "2020-01-01T00:00",
    });
    expect(Object.keys(findMistakes(wrong, null, Date.now())).sort()).toEqual([
      "customer.email",
      "customer.phone",
      "expiresAt",
    ]);
    expect(findMistakes(values({ customer, channels: ["sms", "qr"] }), null, Date.now())).toEqual({});
  });
});
