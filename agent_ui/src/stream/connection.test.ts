import { afterEach, beforeEach, describe, expect, it, vi } from "vitest";
import type { LinkEvent } from "../api/types";
import { type Connection, EventStream, OFFLINE_AFTER_MS } from "./connection";

class FakeSource {
  static all: FakeSource[] = [];
  readonly CLOSED = 2;
  readyState = 0;
  onopen: (() => void) | null = null;
  onerror: (() => void) | null = null;
  #listeners = new Map<string, (message: MessageEvent<string>) => void>();

  constructor(readonly address: string) {
    FakeSource.all.push(this);
  }

  addEventListener(type: string, listener: (message: MessageEvent<string>) => void) {
    this.#listeners.set(type, listener);
  }

  close() {
    this.readyState = 2;
  }

  tell(id: number, event: Partial<LinkEvent>) {
    const type = event.type ?? "link.opened";
    const data = JSON.stringify({ id: `evt_${id}`, seq: id, payment_link: "plink_1", ...event, type });
    this.#listeners.get(type)?.(new MessageEvent(type, { data, lastEventId: String(id) }));
  }

  refuse() {
    this.readyState = 2;
    this.onerror?.();
  }
}

const last = () => FakeSource.all.at(-1) ?? new FakeSource("never opened");

function listen() {
  const heard: string[] = [];
  const connections: Connection[] = [];
  const counts = { opened: 0, refused: 0 };
  const stream = new EventStream(
    "/stream?payment_link=plink_1",
    ["link.opened", "link.paid"],
    {
      onEvent: ({ id }) => heard.push(id),
      onConnection: (connection) => connections.push(connection),
      onOpen: () => {
        counts.opened += 1;
      },
      onRefused: () => {
        counts.refused += 1;
      },
    },
    (address) => new FakeSource(address) as unknown as EventSource,
  );
  stream.open();
  return { stream, heard, connections, counts };
}

beforeEach(() => {
  vi.useFakeTimers();
  FakeSource.all = [];
});
afterEach(() => vi.useRealTimers());

describe("EventStream", () => {
  it("tells each event once, in whatever order a replay repeats them", () => {
    const { heard } = listen();
    last().onopen?.();
    for (const id of [1, 2, 2, 1, 3]) last().tell(id, {});
    expect(heard).toEqual(["evt_1", "evt_2", "evt_3"]);
  });

  it("ignores types it does not know and data it cannot read", () => {
    const { heard } = listen();
    last().tell(1, { type: "payment.disputed" });
    last().tell(2, { payment_link: undefined });
    expect(heard).toEqual([]);
  });

  it("opens anew from the last id when the server has closed it", () => {
    const { heard, counts } = listen();
    last().onopen?.();
    last().tell(7, {});
    last().refuse();
    expect(counts.refused).toBe(1);
    vi.advanceTimersByTime(1500);
    expect(last().address).toBe("/stream?payment_link=plink_1&last_event_id=7");
    last().onopen?.();
    last().tell(7, {});
    last().tell(8, {});
    expect(heard).toEqual(["evt_7", "evt_8"]);
    expect(counts.opened).toBe(2);
  });

  it("waits longer each time, and starts over after a success", () => {
    listen();
    const opensWithin = (ms: number) => {
      const before = FakeSource.all.length;
      vi.advanceTimersByTime(ms);
      return FakeSource.all.length - before;
    };
    last().refuse();
    expect(opensWithin(1250)).toBe(1);
    last().refuse();
    expect(opensWithin(1250)).toBe(0);
    expect(opensWithin(1250)).toBe(1);
    last().onopen?.();
    last().refuse();
    expect(opensWithin(1250)).toBe(1);
  });

  it("says offline only when it lasts", () => {
    const { connections } = listen();
    last().onopen?.();
    last().onerror?.();
    vi.advanceTimersByTime(OFFLINE_AFTER_MS - 1000);
    last().onopen?.();
    vi.advanceTimersByTime(OFFLINE_AFTER_MS * 2);
    expect(connections).toEqual(["live", "live"]);
    last().onerror?.();
    vi.advanceTimersByTime(OFFLINE_AFTER_MS);
    expect(connections).toEqual(["live", "live", "offline"]);
    last().onopen?.();
    expect(connections.at(-1)).toBe("live");
  });

  it("says offline at once when the browser knows, and opens anew from the last id", () => {
    const { stream, connections } = listen();
    last().onopen?.();
    last().tell(7, {});
    const before = last();
    stream.lost();
    expect(connections).toEqual(["live", "offline"]);
    expect(before.readyState).toBe(before.CLOSED);
    expect(last().address).toBe("/stream?payment_link=plink_1&last_event_id=7");
    last().onopen?.();
    vi.advanceTimersByTime(OFFLINE_AFTER_MS * 2);
    expect(connections).toEqual(["live", "offline", "live"]);
  });

  it("is quiet once closed", () => {
    const { stream, connections } = listen();
    last().refuse();
    stream.close();
    vi.advanceTimersByTime(60_000);
    expect(FakeSource.all).toHaveLength(1);
    expect(connections).toEqual([]);
  });
});
