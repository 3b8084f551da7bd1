import { useQueryClient } from "@tanstack/react-query";
import { useEffect, useMemo } from "react";
import { keys, useEventSnapshot, useLiveEvents } from "../api/queries";
import { hasGap, mergeEvents } from "./timeline";

/** A link's whole log, oldest first: the snapshot and what the stream has told since. */
export function useTimeline(link: string) {
  const queries = useQueryClient();
  const snapshot = useEventSnapshot(link);
  const live = useLiveEvents(link);
  const events = useMemo(() => mergeEvents(snapshot.data ?? [], live.data ?? []), [snapshot.data, live.data]);

  const lastSeq = snapshot.data && hasGap(events) ? events.at(-1)?.seq : undefined;
  useEffect(() => {
    if (lastSeq !== undefined) void queries.invalidateQueries({ queryKey: keys.events(link) });
  }, [lastSeq, link, queries]);

  return { events, pending: snapshot.isPending && events.length === 0, error: snapshot.error };
}
