/** Channel accounts, opt-outs and message templates. */
import { client, done, take } from "./client";
import type { AccountChange, ChannelName, SuppressionDraft, TemplateDraft } from "./types";

export const listChannels = () => take(client.GET("/v1/channels"));

export const listProviders = () => take(client.GET("/v1/channel_providers"));

export const listAccounts = () => take(client.GET("/v1/channel_accounts"));

export const addAccount = (body: { provider: string; name: string; config: Record<string, unknown> }) =>
  take(client.POST("/v1/channel_accounts", { body }));

const account = (id: string) => ({ path: { account_id: id } });

export const changeAccount = (id: string, body: AccountChange) =>
  take(client.PATCH("/v1/channel_accounts/{account_id}", { params: account(id), body }));

export const removeAccount = (id: string) =>
  done(client.DELETE("/v1/channel_accounts/{account_id}", { params: account(id) }));

export const testAccount = (id: string, to: string) =>
  take(client.POST("/v1/channel_accounts/{account_id}/test", { params: account(id), body: { to } }));

export const listSuppressions = () => take(client.GET("/v1/suppressions"));

export const suppress = (body: SuppressionDraft) => take(client.POST("/v1/suppressions", { body }));

export const lift = (id: string) =>
  done(client.DELETE("/v1/suppressions/{suppression_id}", { params: { path: { suppression_id: id } } }));

export const listTemplates = () => take(client.GET("/v1/message_templates"));

const place = (channel: ChannelName, language: string) => ({ path: { channel, language } });

export const saveTemplate = ({ channel, language, ...body }: TemplateDraft) =>
  take(client.PUT("/v1/message_templates/{channel}/{language}", { params: place(channel, language), body }));

export const resetTemplate = (channel: ChannelName, language: string) =>
  done(client.DELETE("/v1/message_templates/{channel}/{language}", { params: place(channel, language) }));

export const previewTemplate = (body: TemplateDraft) =>
  take(client.POST("/v1/message_templates/preview", { body }));
