import type { Currency } from "../api/types";

const KEPT_AS = "paylink.currency";

/** The currency used last in this browser: an agent's next link is nearly always in the same one. */
export function firstCurrency(currencies: Currency[]): string {
  const known = (code: string | null) => currencies.some((currency) => currency.code === code);
  const last = localStorage.getItem(KEPT_AS);
  if (last && known(last)) return last;
  return known("GBP") ? "GBP" : (currencies[0]?.code ?? "");
}

export const rememberCurrency = (code: string) => localStorage.setItem(KEPT_AS, code);
