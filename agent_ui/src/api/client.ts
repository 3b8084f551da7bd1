import createClient from "openapi-fetch";
import { NoAnswer, toApiError } from "./problem";
import type { paths } from "./schema";

export const client = createClient<paths>({ credentials: "same-origin" });

type Listener = () => void;
const signedOut = new Set<Listener>();

/** Calls back when any request learns that the session is gone. Returns what undoes it. */
export function onSignedOut(listener: Listener): Listener {
  signedOut.add(listener);
  return () => signedOut.delete(listener);
}

interface Result<T> {
  data?: T;
  error?: unknown;
  response: Response;
}

async function settle<T>(call: Promise<Result<T>>): Promise<Result<T>> {
  const result = await call.catch((): never => {
    throw new NoAnswer();
  });
  if (result.response.ok) return result;
  const failure = toApiError(result.response, result.error);
  if (failure.status === 401 && failure.code !== "invalid_credentials") {
    for (const listener of signedOut) listener();
  }
  throw failure;
}

/** The body of a good answer; anything else is thrown as ApiError or NoAnswer. */
export async function take<T>(call: Promise<Result<T>>): Promise<T> {
  const { data } = await settle(call);
  if (data === undefined) throw new NoAnswer();
  return data;
}

/** For answers without a body. */
export async function done(call: Promise<Result<unknown>>): Promise<void> {
  await settle(call);
}
