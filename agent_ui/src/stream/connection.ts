/**
 * One EventSource that does not give up. The browser resumes by itself with Last-Event-ID; when it stops for good (an
 * HTTP error closes it) a new one takes over after a pause, with the last id in its address.
 */
import type { LinkEvent } from "../api/types";

export type Connection = "connecting" | "live" | "offline";

export interface StreamListener {
  onEvent(event: LinkEvent): void;
  onConnection(connection: Connection): void;
  /** Connected, for the first time or again: what was shown before may be old. */
  onOpen(): void;
  /** The server refused or is away; perhaps the session has ended. */
  onRefused(): void;
}

/** A blip shorter than this is nobody's business. */
export const OFFLINE_AFTER_MS = 5000;
const FIRST_RETRY_MS = 1000;
const LAST_RETRY_MS = 15_000;
/** Servers re-read a short overlap on resuming; this is far more than that. */
const REMEMBERED = 5000;

export class EventStream {
  #source: EventSource | null = null;
  #lastId = "";
  #seen = new Set<string>();
  #retries = 0;
  #retryTimer: ReturnType<typeof setTimeout> | undefined;
  #offlineTimer: ReturnType<typeof setTimeout> | undefined;
  readonly #path: string;
  readonly #types: readonly string[];
  readonly #listener: StreamListener;
  readonly #connect: (address: string) => EventSource;

  constructor(
    path: string,
    types: readonly string[],
    listener: StreamListener,
    connect = (address: string) => new EventSource(address),
  ) {
    this.#path = path;
    this.#types = types;
    this.#listener = listener;
    this.#connect = connect;
  }

  /** Opens, or drops what is there and opens anew, without waiting for a pending retry. */
  open(): void {
    this.#drop();
    this.#worryLater();
    const source = this.#connect(this.#address());
    source.onopen = () => this.#opened();
    source.onerror = () => this.#failed(source);
    for (const type of this.#types)
      source.addEventListener(type, (message: MessageEvent<string>) => this.#take(message));
    this.#source = source;
  }

  /** The browser says that the network is gone, which the source may not feel for long. A new one will. */
  lost(): void {
    this.#listener.onConnection("offline");
    this.open();
  }

  close(): void {
    this.#drop();
    clearTimeout(this.#offlineTimer);
    this.#offlineTimer = undefined;
  }

  #drop(): void {
    clearTimeout(this.#retryTimer);
    this.#source?.close();
    this.#source = null;
  }

  #address(): string {
    if (!this.#lastId) return this.#path;
    return `${this.#path}${this.#path.includes("?") ? "&" : "?"}last_event_id=${encodeURIComponent(this.#lastId)}`;
  }

  #opened(): void {
    this.#retries = 0;
    clearTimeout(this.#offlineTimer);
    this.#offlineTimer = undefined;
    this.#listener.onConnection("live");
    this.#listener.onOpen();
  }

  #failed(source: EventSource): void {
    this.#worryLater();
    if (source !== this.#source || source.readyState !== source.CLOSED) return;
    this.#drop();
    const pause = Math.min(FIRST_RETRY_MS * 2 ** this.#retries, LAST_RETRY_MS);
    this.#retries += 1;
    this.#retryTimer = setTimeout(() => this.open(), pause * (0.75 + Math.random() / 2));
    this.#listener.onRefused();
  }

  #worryLater(): void {
    this.#offlineTimer ??= setTimeout(() => this.#listener.onConnection("offline"), OFFLINE_AFTER_MS);
  }

  #take(message: MessageEvent<string>): void {
    if (message.lastEventId) this.#lastId = message.lastEventId;
    const event = readEvent(message.data);
    if (!event || this.#seen.has(event.id)) return;
    this.#remember(event.id);
    this.#listener.onEvent(event);
  }

  #remember(id: string): void {
    this.#seen.add(id);
    const [oldest] = this.#seen;
    if (this.#seen.size > REMEMBERED && oldest) this.#seen.delete(oldest);
  }
}

function readEvent(text: string): LinkEvent | null {
  try {
    const value: unknown = JSON.parse(text);
    return isEvent(value) ? value : null;
  } catch {
    return null;
  }
}

function isEvent(value: unknown): value is LinkEvent {
  if (typeof value !== "object" || value === null) return false;
  const has = (name: string, type: string) => typeof Reflect.get(value, name) === type;
  return (
    has("id", "string") && has("type", "string") && has("seq", "number") && has("payment_link", "string")
  );
}
