import { client, take } from "./client";
import { idempotent } from "./keys";
import type { Link, LinkDraft, LinkEvent, LinkStatus, Payment } from "./types";

export interface LinkFilter {
  status: LinkStatus[];
  q: string;
}

const PAGE = 25;

export const listLinks = ({ status, q }: LinkFilter, startingAfter: string | undefined) =>
  take(
    client.GET("/v1/payment_links", {
      params: {
        query: {
          status: status.length ? status : undefined,
          q: q || undefined,
          limit: PAGE,
          starting_after: startingAfter,
        },
      },
    }),
  );

export const getLink = (link: string): Promise<Link> =>
  take(client.GET("/v1/payment_links/{link_id}", { params: { path: { link_id: link } } }));

export const createLink = (body: LinkDraft, key: string): Promise<Link> =>
  take(client.POST("/v1/payment_links", { body, headers: idempotent(key) }));

export const cancelLink = (link: string): Promise<Link> =>
  take(client.POST("/v1/payment_links/{link_id}/cancel", { params: { path: { link_id: link } } }));

export const unlockLink = (link: string): Promise<Link> =>
  take(client.POST("/v1/payment_links/{link_id}/unlock", { params: { path: { link_id: link } } }));

/** The whole log, page by page: a link has tens of events, rarely more. */
export async function listEvents(link: string): Promise<LinkEvent[]> {
  const all: LinkEvent[] = [];
  let more = true;
  while (more) {
    const query = { after_seq: all.at(-1)?.seq ?? 0 };
    const page = await take(
      client.GET("/v1/payment_links/{link_id}/events", { params: { path: { link_id: link }, query } }),
    );
    all.push(...page.data);
    more = page.has_more && page.data.length > 0;
  }
  return all;
}

export const listPayments = async (link: string): Promise<Payment[]> => {
  const params = { path: { link_id: link } };
  return (await take(client.GET("/v1/payment_links/{link_id}/payments", { params }))).data;
};
