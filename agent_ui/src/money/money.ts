/** Amounts are integers in the currency's minor unit; no floating point touches them on the way in or out. */

export type Parsed = { ok: true; minor: number } | { ok: false; message: string };

export interface Unit {
  code: string;
  exponent: number;
  max_amount: number;
  min_amount?: number;
  /** Amounts are multiples of this. */
  step?: number;
}

const GROUPED = /^\d{1,3}(,\d{3})+$/;
const WHOLE = /^(\d*|\d{1,3}(,\d{3})+)$/;

/** The digits before and after the decimal sign, or null when the text is not one clear number. */
function split(text: string, exponent: number): [whole: string, fraction: string] | null {
  const dotted = /^([\d,]*)\.(\d*)$/.exec(text);
  if (dotted) {
    const [, whole = "", fraction = ""] = dotted;
    return WHOLE.test(whole) ? [whole.replaceAll(",", ""), fraction] : null;
  }
  const [, whole = "", decimals = ""] = /^(\d*),(\d+)$/.exec(text) ?? [];
  const commaIsDecimal = decimals !== "" && decimals.length <= exponent;
  // "1,500" in a currency with three decimals could be either: refuse rather than guess.
  if (commaIsDecimal) return GROUPED.test(text) ? null : [whole, decimals];
  return WHOLE.test(text) ? [text.replaceAll(",", ""), ""] : null;
}

export function parseAmount(text: string, unit: Unit): Parsed {
  const plain = text
    .replace(/[\s\u00a0\u202f'’_]|\p{Sc}/gu, "")
    .replace(new RegExp(`^${unit.code}|${unit.code}$`, "i"), "");
  if (plain === "") return { ok: false, message: "Enter an amount" };
  if (/^[-−]/.test(plain)) return { ok: false, message: "Enter an amount above zero" };
  const parts = split(plain, unit.exponent);
  if (!parts || parts.join("") === "")
    return { ok: false, message: `Enter an amount like ${example(unit.exponent)}` };
  const [whole, fraction] = parts;
  if (fraction.length > unit.exponent) return { ok: false, message: tooPrecise(unit) };
  const minor = Number(whole + fraction.padEnd(unit.exponent, "0"));
  if (minor === 0) return { ok: false, message: "Enter an amount above zero" };
  if (!Number.isSafeInteger(minor) || minor > unit.max_amount) {
    return {
      ok: false,
      message: `The most one link can ask for is ${formatAmount(unit.max_amount, unit.code, unit.exponent)}`,
    };
  }
  const bound = outOfBounds(minor, unit);
  return bound ? { ok: false, message: bound } : { ok: true, minor };
}

function outOfBounds(minor: number, { code, exponent, min_amount = 1, step = 1 }: Unit): string | null {
  if (minor < min_amount) return `The least is ${formatAmount(min_amount, code, exponent)}`;
  if (minor % step !== 0) return `Enter ${code} in steps of ${toDecimal(step, exponent)}`;
  return null;
}

function tooPrecise({ code, exponent }: Unit): string {
  if (exponent === 0) return `${code} has no decimals`;
  return `${code} has ${exponent} decimals`;
}

export function example(exponent: number): string {
  return toDecimal(exponent === 0 ? 50 : 5 * 10 ** (exponent + 1) - 1, exponent);
}

/** 4999, 2 → "49.99". The plain decimal that a number field holds and that parseAmount reads back. */
export function toDecimal(minor: number, exponent: number): `${number}` {
  const sign = minor < 0 ? "-" : "";
  const digits = String(Math.abs(minor)).padStart(exponent + 1, "0");
  const whole = digits.slice(0, digits.length - exponent);
  const decimal = exponent === 0 ? whole : `${whole}.${digits.slice(-exponent)}`;
  return `${sign}${decimal}` as `${number}`;
}

/** The exponent comes from the API: Intl's idea of a currency's decimals differs between browsers. */
export function formatAmount(minor: number, code: string, exponent: number, locale?: string): string {
  const digits = { minimumFractionDigits: exponent, maximumFractionDigits: exponent };
  return new Intl.NumberFormat(locale, { style: "currency", currency: code, ...digits }).format(
    toDecimal(minor, exponent),
  );
}
