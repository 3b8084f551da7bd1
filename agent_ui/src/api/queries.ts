/** Names of what TanStack Query holds, and the hooks that read it. */
import { skipToken, useInfiniteQuery, useQuery } from "@tanstack/react-query";
import { getMe, listApiKeys, listCurrencies } from "./account";
import { getLink, type LinkFilter, listEvents, listLinks, listPayments } from "./links";
import type { LinkEvent } from "./types";

export const keys = {
  me: ["me"] as const,
  currencies: ["currencies"] as const,
  apiKeys: ["api_keys"] as const,
  lists: ["links"] as const,
  list: (filter: LinkFilter) => ["links", filter] as const,
  link: (id: string) => ["link", id] as const,
  events: (id: string) => ["link", id, "events"] as const,
  payments: (id: string) => ["link", id, "payments"] as const,
  /** What the stream has told of a link since the page was opened. */
  live: (id: string) => ["live", id] as const,
  /** Addresses from creating answers: delivery id → URL. Only in this tab's memory, the API shows them once. */
  handouts: (id: string) => ["handouts", id] as const,
};

export const useMe = () =>
  useQuery({ queryKey: keys.me, queryFn: getMe, staleTime: Number.POSITIVE_INFINITY });

export const useCurrencies = () =>
  useQuery({ queryKey: keys.currencies, queryFn: listCurrencies, staleTime: Number.POSITIVE_INFINITY });

export const useApiKeys = () => useQuery({ queryKey: keys.apiKeys, queryFn: listApiKeys });

export const useLinks = (filter: LinkFilter) =>
  useInfiniteQuery({
    queryKey: keys.list(filter),
    queryFn: ({ pageParam }) => listLinks(filter, pageParam),
    initialPageParam: undefined as string | undefined,
    getNextPageParam: (page) => (page.has_more ? page.data.at(-1)?.id : undefined),
    placeholderData: (previous) => previous,
  });

export const useLink = (id: string) => useQuery({ queryKey: keys.link(id), queryFn: () => getLink(id) });

export const useEventSnapshot = (id: string) =>
  useQuery({ queryKey: keys.events(id), queryFn: () => listEvents(id) });

export const usePayments = (id: string) =>
  useQuery({ queryKey: keys.payments(id), queryFn: () => listPayments(id) });

export const useLiveEvents = (id: string) =>
  useQuery<LinkEvent[]>({ queryKey: keys.live(id), queryFn: skipToken });

export const useHandouts = (id: string) =>
  useQuery<Record<string, string>>({ queryKey: keys.handouts(id), queryFn: skipToken });
