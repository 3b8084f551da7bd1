/** Idempotency keys. `crypto.randomUUID` is missing on plain http, where a console may be tried out. */
export function randomKey(): string {
  const bytes = crypto.getRandomValues(new Uint8Array(16));
  return Array.from(bytes, (byte) => byte.toString(16).padStart(2, "0")).join("");
}

/**
 * One key per thing the agent means to do: sending the same again after no answer repeats the key, so nothing is
 * done twice; a changed body or a settled call gets a new one.
 */
export class SubmitKey {
  #key = "";
  #body = "";

  for(body: unknown): string {
    const text = JSON.stringify(body);
    if (!this.#key || text !== this.#body) {
      this.#key = randomKey();
      this.#body = text;
    }
    return this.#key;
  }

  settled(): void {
    this.#key = "";
  }
}

export const idempotent = (key: string) => ({ "Idempotency-Key": key });
