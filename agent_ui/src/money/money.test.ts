import { describe, expect, it } from "vitest";
import { formatAmount, parseAmount, toDecimal, type Unit } from "./money";

const GBP: Unit = { code: "GBP", exponent: 2, max_amount: 99_999_999 };
const JPY: Unit = { code: "JPY", exponent: 0, max_amount: 99_999_999 };
const KWD: Unit = { code: "KWD", exponent: 3, max_amount: 999_999_999 };

const minor = (text: string, unit: Unit) => {
  const parsed = parseAmount(text, unit);
  return parsed.ok ? parsed.minor : parsed.message;
};

describe("parseAmount", () => {
  it.each([
    ["49.99", GBP, 4999],
    ["49,99", GBP, 4999],
    ["0.07", GBP, 7],
    [".5", GBP, 50],
    ["12,5", GBP, 1250],
    ["1,234.5", GBP, 123_450],
    ["1,234", GBP, 123_400],
    ["1 234.56", GBP, 123_456],
    ["£49.99", GBP, 4999],
    ["gbp 49.99", GBP, 4999],
    ["1.1", GBP, 110],
    ["999999.99", GBP, 99_999_999],
    ["1,500", JPY, 1500],
    ["1.234", KWD, 1234],
    ["1,234.567", KWD, 1_234_567],
  ])("reads %s", (text, unit, expected) => {
    expect(minor(text, unit)).toBe(expected);
  });

  it.each([
    ["", GBP, /Enter an amount/],
    ["0", GBP, /above zero/],
    ["-5", GBP, /above zero/],
    ["1.234", GBP, /2 decimals/],
    ["1.5", JPY, /no decimals/],
    ["1,500", KWD, /like/],
    ["1.2.3", GBP, /like/],
    ["12,34.5", GBP, /like/],
    ["1e3", GBP, /like/],
    [".", GBP, /like/],
    ["1000000.00", GBP, /most/],
    ["99999999999999999999", GBP, /most/],
  ])("refuses %s", (text, unit, expected) => {
    expect(minor(text, unit)).toMatch(expected);
  });

  it("reads back whatever it wrote", () => {
    for (const unit of [GBP, JPY, KWD]) {
      for (const value of [1, 9, 10, 99, 100, 101, 999, 1000, 1001, 123_456]) {
        expect(minor(toDecimal(value, unit.exponent), unit)).toBe(value);
      }
    }
  });
});

describe("formatAmount", () => {
  it("uses the given decimals, not Intl's", () => {
    expect(formatAmount(4999, "GBP", 2, "en")).toBe("£49.99");
    expect(formatAmount(1500, "JPY", 0, "en")).toBe("¥1,500");
    expect(formatAmount(1_234_567, "KWD", 3, "en")).toBe("KWD\u00a01,234.567");
    expect(formatAmount(150_000, "HUF", 2, "en")).toBe("HUF\u00a01,500.00");
  });

  it("keeps every digit of amounts too large for a double's cents", () => {
    expect(formatAmount(9_007_199_254_740_991, "GBP", 2, "en")).toBe("£90,071,992,547,409.91");
  });
});
