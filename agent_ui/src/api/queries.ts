/** Names of what TanStack Query holds, and the hooks that read it. */
import { skipToken, useInfiniteQuery, useQuery } from "@tanstack/react-query";
import { getMe, listApiKeys, listAuditEntries, listCurrencies } from "./account";
import { listAccounts, listChannels, listProviders, listSuppressions, listTemplates } from "./channels";
import { getLink, type LinkFilter, listEvents, listLinks, listPayments } from "./links";
import { getPayment, listDisputes, listRefunds } from "./payments";
import type { LinkEvent, Page, Payment } from "./types";

export const keys = {
  me: ["me"] as const,
  currencies: ["currencies"] as const,
  apiKeys: ["api_keys"] as const,
  lists: ["links"] as const,
  list: (filter: LinkFilter) => ["links", filter] as const,
  link: (id: string) => ["link", id] as const,
  events: (id: string) => ["link", id, "events"] as const,
  payments: (id: string) => ["link", id, "payments"] as const,
  refundsOf: (id: string) => ["link", id, "refunds"] as const,
  refunds: (id: string, payment: string) => ["link", id, "refunds", payment] as const,
  payment: (id: string) => ["payment", id] as const,
  disputes: ["disputes"] as const,
  audit: ["audit"] as const,
  channels: ["channels"] as const,
  providers: ["channel_providers"] as const,
  accounts: ["channel_accounts"] as const,
  suppressions: ["suppressions"] as const,
  templates: ["message_templates"] as const,
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

const nextPage = (page: Page<{ id: string }>) => (page.has_more ? page.data.at(-1)?.id : undefined);

export const useLinks = (filter: LinkFilter) =>
  useInfiniteQuery({
    queryKey: keys.list(filter),
    queryFn: ({ pageParam }) => listLinks(filter, pageParam),
    initialPageParam: undefined as string | undefined,
    getNextPageParam: nextPage,
    placeholderData: (previous) => previous,
  });

export const useLink = (id: string) => useQuery({ queryKey: keys.link(id), queryFn: () => getLink(id) });

export const useEventSnapshot = (id: string) =>
  useQuery({ queryKey: keys.events(id), queryFn: () => listEvents(id) });

export const usePayments = (id: string) =>
  useQuery({ queryKey: keys.payments(id), queryFn: () => listPayments(id) });

/** Only of a payment that has money to give back. */
export const useRefunds = ({ id, payment_link: link, amount_captured: captured }: Payment) =>
  useQuery({ queryKey: keys.refunds(link, id), queryFn: captured > 0 ? () => listRefunds(id) : skipToken });

export const usePayment = (id: string) =>
  useQuery({ queryKey: keys.payment(id), queryFn: () => getPayment(id) });

export const useDisputes = () =>
  useInfiniteQuery({
    queryKey: keys.disputes,
    queryFn: ({ pageParam }) => listDisputes(pageParam),
    initialPageParam: undefined as string | undefined,
    getNextPageParam: nextPage,
    staleTime: Number.POSITIVE_INFINITY,
  });

export const useAudit = () =>
  useInfiniteQuery({
    queryKey: keys.audit,
    queryFn: ({ pageParam }) => listAuditEntries(pageParam),
    initialPageParam: undefined as string | undefined,
    getNextPageParam: nextPage,
  });

export const useChannels = () => useQuery({ queryKey: keys.channels, queryFn: listChannels });

export const useProviders = () =>
  useQuery({ queryKey: keys.providers, queryFn: listProviders, staleTime: Number.POSITIVE_INFINITY });

export const useAccounts = () => useQuery({ queryKey: keys.accounts, queryFn: listAccounts });

export const useSuppressions = () => useQuery({ queryKey: keys.suppressions, queryFn: listSuppressions });

export const useTemplates = () => useQuery({ queryKey: keys.templates, queryFn: listTemplates });

export const useLiveEvents = (id: string) =>
  useQuery<LinkEvent[]>({ queryKey: keys.live(id), queryFn: skipToken });

export const useHandouts = (id: string) =>
  useQuery<Record<string, string>>({ queryKey: keys.handouts(id), queryFn: skipToken });
