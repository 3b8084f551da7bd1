/** Reads an event's `data` without trusting its shape: newer servers may say more, or less. */
export interface Facts {
  text(name: string): string | null;
  texts(name: string): string[];
  /** In `currency`; without a name it is `amount`. */
  amount(name?: string): string | null;
  card(): string | null;
}

export type Money = (minor: number, currency: string) => string;

const isText = (value: unknown): value is string => typeof value === "string" && value !== "";

export function factsOf(data: Record<string, unknown>, money: Money): Facts {
  const text = (name: string) => {
    const value = data[name];
    return isText(value) ? value : null;
  };
  const inCard = (name: string) => {
    const card = data.card;
    const value: unknown = typeof card === "object" && card !== null ? Reflect.get(card, name) : null;
    return isText(value) ? value : text(name);
  };
  return {
    text,
    texts(name) {
      const value = data[name];
      return Array.isArray(value) ? value.filter(isText) : [];
    },
    amount(name = "amount") {
      const { [name]: amount, currency } = data;
      return typeof amount === "number" && isText(currency) ? money(amount, currency) : null;
    },
    card() {
      const [brand, last4] = [brandName(inCard("brand")), inCard("last4")];
      return last4 ? `${brand ?? "card"} ending ${last4}` : brand;
    },
  };
}

const BRANDS: Record<string, string> = {
  visa: "Visa",
  mastercard: "Mastercard",
  amex: "American Express",
  discover: "Discover",
  diners: "Diners Club",
  jcb: "JCB",
  unionpay: "UnionPay",
};

export function brandName(brand: string | null): string | null {
  if (!brand || brand === "unknown") return null;
  return BRANDS[brand] ?? brand;
}

/** `incorrect_cvc` → "incorrect cvc". What is a sentence already stays as it is. */
export const inWords = (code: string) => (code.includes(" ") ? code : code.replaceAll(/[_-]+/g, " "));

/** `link.partially_paid` → "Link partially paid", for types there are no better words for. */
export const nameInWords = (name: string) => sentenceCase(name.replaceAll(/[._-]+/g, " "));

export const sentenceCase = (words: string) => words.charAt(0).toUpperCase() + words.slice(1);
