import { useMutation, useQueryClient } from "@tanstack/react-query";
import { useState } from "react";
import { useLocation } from "wouter";
import { SubmitKey } from "../api/keys";
import { createLink } from "../api/links";
import { ApiError } from "../api/problem";
import { keys } from "../api/queries";
import type { Link, LinkDraft } from "../api/types";

/** Makes the link and goes to its page, taking along the addresses that only this answer holds. */
export function useCreate(onError: (error: Error) => void) {
  const queries = useQueryClient();
  const [, navigate] = useLocation();
  const [key] = useState(() => new SubmitKey());
  return useMutation({
    mutationFn: (draft: LinkDraft) => createLink(draft, key.for(draft)),
    onSuccess: (link) => {
      queries.setQueryData(keys.handouts(link.id), handoutsOf(link));
      void queries.invalidateQueries({ queryKey: keys.lists });
      navigate(`/links/${link.id}`);
    },
    onError: (error) => {
      if (error instanceof ApiError && error.status < 500) key.settled();
      onError(error);
    },
  });
}

export const LINK_ITSELF = "link";

function handoutsOf(link: Link): Record<string, string> {
  const urls = link.deliveries.flatMap(({ id, url }) => (url ? [[id, url] as const] : []));
  return Object.fromEntries(link.url ? [[LINK_ITSELF, link.url], ...urls] : urls);
}
