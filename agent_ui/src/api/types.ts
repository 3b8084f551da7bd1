/** The names the console uses for what the API speaks. Everything comes from the generated schema. */
import type { components } from "./schema";

type Schemas = components["schemas"];

export type Me = Schemas["Me"];
export type Currency = Schemas["CurrencyOut"];
export type Link = Schemas["LinkOut"];
export type LinkStatus = Link["status"];
export type LinkDraft = Schemas["CreateLink"];
export type Delivery = Schemas["DeliveryOut"];
export type ChannelName = Delivery["channel"];
export type ChannelWays = Schemas["ChannelWays"];
export type ChannelAccount = Schemas["AccountOut"];
export type AccountChange = Schemas["AccountChange"];
export type Provider = Schemas["ProviderOut"];
export type ProviderField = Schemas["FieldOut"];
export type Suppression = Schemas["SuppressionOut"];
export type SuppressionDraft = Schemas["SuppressionIn"];
export type Template = Schemas["TemplateOut"];
export type TemplateDraft = Schemas["TemplatePreviewIn"];
export type DeliveryDraft = Schemas["DeliveryIn"];
export type Payment = Schemas["PaymentOut"];
export type Refund = Schemas["RefundOut"];
export type Dispute = Schemas["DisputeOut"];
export type Receipt = NonNullable<Payment["receipt"]>;
export type LinkLock = NonNullable<Link["lock"]>;
export type LinkEvent = Schemas["EventOut"];
export type Preview = Schemas["PreviewOut"];
export type PreviewRequest = Schemas["PreviewIn"];
export type ApiKey = Schemas["ApiKeyOut"];
export type AuditEntry = Schemas["AuditEntryOut"];

export interface Page<T> {
  data: T[];
  has_more: boolean;
}
