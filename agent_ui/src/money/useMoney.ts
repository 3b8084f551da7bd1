import { useCallback } from "react";
import { useCurrencies } from "../api/queries";
import type { Money } from "../stream/facts";
import { formatAmount } from "./money";

/** Formats amounts with each currency's own decimals. Until those are known it says so rather than guess. */
export function useMoney(): Money {
  const currencies = useCurrencies().data?.data;
  return useCallback(
    (minor, code) => {
      const currency = currencies?.find((one) => one.code === code);
      return currency ? formatAmount(minor, code, currency.exponent) : `${code} …`;
    },
    [currencies],
  );
}
