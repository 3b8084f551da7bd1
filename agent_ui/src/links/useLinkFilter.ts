import { useMemo } from "react";
import { useSearchParams } from "wouter";
import type { LinkFilter } from "../api/links";
import type { LinkStatus } from "../api/types";
import { LINK_STATUS } from "../ui/StatusBadge";

const isStatus = (value: string): value is LinkStatus => value in LINK_STATUS;

/** The list's filter lives in the address, so that going back and reloading keep it. */
export function useLinkFilter() {
  const [params, setParams] = useSearchParams();
  const address = params.toString();
  const filter = useMemo((): LinkFilter => {
    const read = new URLSearchParams(address);
    return { status: read.getAll("status").filter(isStatus), q: read.get("q") ?? "" };
  }, [address]);
  const setFilter = ({ status, q }: LinkFilter) => {
    const next = new URLSearchParams(status.map((one) => ["status", one]));
    if (q) next.set("q", q);
    setParams(next, { replace: true });
  };
  return { filter, setFilter };
}
