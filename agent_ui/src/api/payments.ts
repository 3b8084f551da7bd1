import { client, take } from "./client";
import { idempotent } from "./keys";

export const approvePayment = (payment: string) =>
  take(client.POST("/v1/payments/{payment_id}/approve", { params: { path: { payment_id: payment } } }));

export const declinePayment = (payment: string, reason: string) =>
  take(
    client.POST("/v1/payments/{payment_id}/decline", {
      body: reason ? { reason } : {},
      params: { path: { payment_id: payment } },
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
