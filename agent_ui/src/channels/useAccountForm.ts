import { useMutation, useQueryClient } from "@tanstack/react-query";
import { useState } from "react";
import { ApiError } from "../api/problem";
import { keys } from "../api/queries";
import type { ChannelAccount, ProviderField } from "../api/types";
import { configFrom, sortComplaints, type Typed, typedFrom } from "./config";

export interface Filled {
  name: string;
  config: Record<string, unknown>;
}

/** An account's form: what is typed, what was wrong with it, and saving it. */
export function useAccountForm(
  fields: ProviderField[],
  save: (filled: Filled) => Promise<unknown>,
  account?: ChannelAccount,
) {
  const queries = useQueryClient();
  const [name, setName] = useState(account?.name ?? "");
  const [typed, setTyped] = useState<Typed>(() => typedFrom(fields, account));
  const mutation = useMutation({
    mutationFn: () => save({ name: name.trim(), config: configFrom(fields, typed) }),
    onSuccess: () => {
      void queries.invalidateQueries({ queryKey: keys.accounts });
      void queries.invalidateQueries({ queryKey: keys.channels });
      void queries.invalidateQueries({ queryKey: keys.me });
    },
  });
  const complaints = sortComplaints(mutation.error instanceof ApiError ? mutation.error.fields : []);
  const placed = Object.keys(complaints.fields).length > 0 && complaints.others.length === 0;
  return {
    name,
    setName,
    typed,
    type: (field: string, value: string | boolean) => setTyped((now) => ({ ...now, [field]: value })),
    errors: complaints.fields,
    /** What no field says already. */
    error: placed ? null : mutation.error,
    saving: mutation.isPending,
    save: mutation.mutateAsync,
    reset: mutation.reset,
  };
}
