import { client, take } from "./client";
import { idempotent } from "./keys";
import type { ChannelName, Delivery, DeliveryDraft, PreviewRequest } from "./types";

export const sendAgain = (link: string, body: DeliveryDraft, key: string): Promise<Delivery> =>
  take(
    client.POST("/v1/payment_links/{link_id}/deliveries", {
      body,
      params: { path: { link_id: link } },
      headers: idempotent(key),
    }),
  );

/** Its address opens nothing any more. */
export const withdraw = (link: string, delivery: string): Promise<Delivery> =>
  take(
    client.POST("/v1/payment_links/{link_id}/deliveries/{delivery_id}/withdraw", {
      params: { path: { link_id: link, delivery_id: delivery } },
    }),
  );

export const preview = (body: PreviewRequest) => take(client.POST("/v1/deliveries/preview", { body }));

export const checkAddress = (channel: ChannelName, to: string) =>
  take(client.POST("/v1/addresses/check", { body: { channel, to } }));

export const qrAddress = (link: string, delivery: string, kind: "svg" | "png") =>
  `/v1/payment_links/${encodeURIComponent(link)}/deliveries/${encodeURIComponent(delivery)}/qr.${kind}`;

/** With more redundancy: paper gets dirty and folded. */
export const qrForPrint = (link: string, delivery: string) => `${qrAddress(link, delivery, "svg")}?level=Q`;
