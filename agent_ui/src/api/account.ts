import { client, done, take } from "./client";
import { idempotent } from "./keys";
import { ApiError } from "./problem";
import type { Me } from "./types";

const AUDIT_PAGE = 50;

/** Who is signed in, or null for nobody. */
export const getMe = (): Promise<Me | null> =>
  take(client.GET("/v1/me")).catch((error: unknown) => {
    if (error instanceof ApiError && error.status === 401) return null;
    throw error;
  });

export const signIn = (email: string, password: string) =>
  take(client.POST("/v1/sessions", { body: { email, password } }));

export const signOut = () => done(client.DELETE("/v1/sessions/current"));

/** Ends the pause of payments that many declines brought about. */
export const resumePayments = () => take(client.POST("/v1/payments/resume"));

export const listAuditEntries = (startingAfter: string | undefined) =>
  take(
    client.GET("/v1/audit_entries", {
      params: { query: { limit: AUDIT_PAGE, starting_after: startingAfter } },
    }),
  );

export const listCurrencies = () => take(client.GET("/v1/currencies"));

export const listApiKeys = () => take(client.GET("/v1/api_keys"));

export const createApiKey = (name: string, key: string) =>
  take(client.POST("/v1/api_keys", { body: { name }, headers: idempotent(key) }));

export const revokeApiKey = (key: string) =>
  done(client.DELETE("/v1/api_keys/{key_id}", { params: { path: { key_id: key } } }));
