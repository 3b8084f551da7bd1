import { useDebouncedValue } from "@mantine/hooks";
import { useQuery } from "@tanstack/react-query";
import { checkAddress } from "../api/deliveries";
import type { ChannelName } from "../api/types";

const TYPING_MS = 450;

interface AddressCheck {
  /** Why nothing can be sent there, or null while it is not known. */
  error: string | null;
  /** The address as it will be used, when it differs from what was typed. */
  normalized: string | null;
}

/** Asks the API about an address once the typing pauses. The channel decides: `sms` for phones, `email` for email. */
export function useAddressCheck(channel: ChannelName, address: string): AddressCheck {
  const typed = address.trim();
  const [settled] = useDebouncedValue(typed, TYPING_MS);
  const { data } = useQuery({
    queryKey: ["address", channel, settled],
    queryFn: () => checkAddress(channel, settled),
    enabled: settled !== "",
    staleTime: Number.POSITIVE_INFINITY,
    retry: false,
  });
  if (!data || settled !== typed) return { error: null, normalized: null };
  if (!data.valid) return { error: data.message ?? "This address cannot be used", normalized: null };
  return { error: null, normalized: data.normalized === typed ? null : (data.normalized ?? null) };
}
