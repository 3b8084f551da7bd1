import { describe, expect, it } from "vitest";
import { type Parsed, parseAmount, type Unit } from "../money/money";
import { emptyValues, fieldOf, findMistakes, minimumOf, sortErrors, toDraft, type Values } from "./draft";

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

describe("paying in parts", () => {
  const gbp: Unit = { code: "GBP", exponent: 2, max_amount: 99_999_999, min_amount: 30, step: 1 };
  const amount: Parsed = { ok: true, minor: 4999 };
  const minimum = (text: string, unit = gbp) => {
    const found = minimumOf(values({ parts: true, minimum: text }), unit, amount);
    return found?.ok ? found.minor : found?.message;
  };

  it("sends the least that may be paid at once", () => {
    expect(minimum("10")).toBe(1000);
    expect(minimum("49.99")).toBe(4999);
    expect(toDraft(values({ parts: true }), 4999, 1000).minimum_amount).toBe(1000);
    expect(toDraft(values(), 4999).minimum_amount).toBeUndefined();
  });

  it("asks for an amount that fits, in the currency's decimals", () => {
    const kwd: Unit = { code: "KWD", exponent: 3, max_amount: 99_999_990, min_amount: 10, step: 10 };
    expect(minimum("")).toMatch(/Enter an amount/);
    expect(minimum("50")).toMatch(/At most the whole £49.99/);
    expect(minimum("0.29")).toMatch(/least is £0.30/);
    expect(minimum("1.005")).toMatch(/2 decimals/);
    expect(minimum("1.005", kwd)).toMatch(/steps of 0.010/);
    expect(minimum("1.01", kwd)).toBe(1010);
  });

  it("wants no minimum of a link that is paid in one sum, nor before there is an amount", () => {
    expect(minimumOf(values({ minimum: "10" }), gbp, amount)).toBeNull();
    expect(minimumOf(values({ parts: true }), gbp, parseAmount("", gbp))).toBeNull();
    expect(findMistakes(values(), null, 0, "At most")).toEqual({ minimum: "At most" });
    expect(fieldOf("minimum_amount", [])).toBe("minimum");
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

describe("channels one after the other", () => {
  const values = {
    ...emptyValues("GBP"),
    customer: { ...emptyValues("GBP").customer, phone: "+447700900123", email: "a@example.com" },
    channels: ["sms", "qr", "email"] as Values["channels"],
  };

  it("are all asked for at once unless said otherwise", () => {
    expect(toDraft(values, 1).deliver).toEqual([
      { channel: "sms", to: "+447700900123" },
      { channel: "qr", to: undefined },
      { channel: "email", to: "a@example.com" },
    ]);
  });

  it("stand behind the first that has an address; what is shown on screen is not sent", () => {
    expect(toDraft({ ...values, inTurn: true }, 1).deliver).toEqual([
      { channel: "sms", to: "+447700900123", fallback: [{ channel: "email", to: "a@example.com" }] },
      { channel: "qr", to: undefined },
    ]);
  });
});
