import { useQueryClient } from "@tanstack/react-query";
import { useEffect, useState } from "react";
import { keys } from "../api/queries";
import { type Connection, EventStream } from "./connection";
import { EVENT_TYPES } from "./sentences";
import { CacheSync } from "./sync";

/**
 * Browsers open six connections to a host at most over HTTP/1.1, and every tab's stream is one. A tab that is not
 * looked at lets go of its own after this long, and catches up when it is looked at again.
 */
const HIDDEN_TAB_KEEPS_MS = 60_000;

/** Follows one link's events, or everyone's, for as long as the component lives. */
export function useStream(link: string | null): Connection {
  const queries = useQueryClient();
  const [connection, setConnection] = useState<Connection>("connecting");

  useEffect(() => {
    const sync = new CacheSync(queries);
    const path = `/v1/events/stream${link ? `?payment_link=${encodeURIComponent(link)}` : ""}`;
    const stream = new EventStream(path, EVENT_TYPES, {
      onEvent: (event) => sync.take(event),
      onConnection: setConnection,
      onOpen: () => sync.refresh(),
      onRefused: () => void queries.invalidateQueries({ queryKey: keys.me }),
    });
    stream.open();
    const stopWatching = watchTab(stream);
    return () => {
      stopWatching();
      stream.close();
      sync.stop();
    };
  }, [link, queries]);

  return connection;
}

function watchTab(stream: EventStream): () => void {
  let closing: ReturnType<typeof setTimeout> | undefined;
  let closed = false;
  const looked = () => {
    clearTimeout(closing);
    if (document.visibilityState === "hidden") {
      closing = setTimeout(() => {
        stream.close();
        closed = true;
      }, HIDDEN_TAB_KEEPS_MS);
    } else if (closed) {
      closed = false;
      stream.open();
    }
  };
  const offline = () => {
    if (!closed) stream.lost();
  };
  const backOnline = () => {
    if (!closed) stream.open();
  };
  document.addEventListener("visibilitychange", looked);
  window.addEventListener("offline", offline);
  window.addEventListener("online", backOnline);
  return () => {
    clearTimeout(closing);
    document.removeEventListener("visibilitychange", looked);
    window.removeEventListener("offline", offline);
    window.removeEventListener("online", backOnline);
  };
}
