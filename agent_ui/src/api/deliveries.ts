import { client, take } from "./client";
import { idempotent } from "./keys";
import type { ChannelName, Delivery, PreviewRequest } from "./types";

export const sendAgain = (
  link: string,
  body: { channel: ChannelName; to?: string },
  key: string,
): Promise<Delivery> =>
  take(
    client.POST("/v1/payment_links/{link_id}/deliveries", {
      body,
      params: { path: { link_id: link } },
      headers: idempotent(key),
    }),
  );

export const preview = (body: PreviewRequest) => take(client.POST("/v1/deliveries/preview", { body }));

export const checkAddress = (channel: ChannelName, to: string) =>
  take(client.POST("/v1/addresses/check", { body: { channel, to } }));

export const qrAddress = (link: string, delivery: string, kind: "svg" | "png") =>
  `/v1/payment_links/${encodeURIComponent(link)}/deliveries/${encodeURIComponent(delivery)}/qr.${kind}`;
