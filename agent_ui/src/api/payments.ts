import { client, take } from "./client";
import { idempotent } from "./keys";
import type { Payment, Refund } from "./types";

const PAGE = 100;

export const getPayment = (payment: string): Promise<Payment> =>
  take(client.GET("/v1/payments/{payment_id}", { params: { path: { payment_id: payment } } }));

export type Decision = "approve" | "decline";

/** What the agent decides about a held payment. The reason is for the merchant's records. */
export const decidePayment = (payment: string, decision: Decision, reason: string): Promise<Payment> =>
  take(
    client.POST(`/v1/payments/{payment_id}/${decision}`, {
      body: reason ? { reason } : {},
      params: { path: { payment_id: payment } },
    }),
  );

/** Newest first. More than a page of them nobody makes. */
export const listRefunds = async (payment: string): Promise<Refund[]> => {
  const params = { path: { payment_id: payment }, query: { limit: PAGE } };
  return (await take(client.GET("/v1/payments/{payment_id}/refunds", { params }))).data;
};

export const listDisputes = (startingAfter: string | undefined) =>
  take(
    client.GET("/v1/disputes", {
      params: { query: { limit: PAGE, starting_after: startingAfter } },
    }),
  );

export const refundPayment = (payment: string, body: { amount: number; reason?: string }, key: string) =>
  take(
    client.POST("/v1/payments/{payment_id}/refunds", {
      body,
      params: { path: { payment_id: payment } },
      headers: idempotent(key),
    }),
  );
