import { Center, Loader } from "@mantine/core";
import { type QueryClient, useQueryClient } from "@tanstack/react-query";
import { Activity, type ReactNode, useEffect, useMemo, useState } from "react";
import { getMe, signOut } from "../api/account";
import { onSignedOut } from "../api/client";
import { keys, useMe } from "../api/queries";
import type { Me } from "../api/types";
import { ErrorNote } from "../ui/ErrorNote";
import { SignIn } from "./SignIn";
import { SessionContext } from "./session";

const agentOf = (me: Me | null) => me?.agent?.id ?? null;

/** Nothing of one agent's may be shown to the next. */
const forgetAll = (queries: QueryClient) =>
  queries.removeQueries({ predicate: (query) => query.queryKey[0] !== keys.me[0] });

/**
 * Shows the console to who is signed in, the sign-in page to everyone else, at the same address. When a session ends
 * by itself the console stays behind the sign-in page with all that was typed, and only the same agent gets it back.
 */
export function SessionGate({ children }: { children: ReactNode }) {
  const queries = useQueryClient();
  const me = useMe();
  const [owner, setOwner] = useState<Me | null>(null);
  if (me.data && me.data !== owner) setOwner(me.data);

  useEffect(() => onSignedOut(() => queries.setQueryData(keys.me, null)), [queries]);

  const session = useMemo(() => {
    const leave = async () => {
      await signOut();
      setOwner(null);
      forgetAll(queries);
      queries.setQueryData(keys.me, null);
    };
    return owner && { me: owner, signOut: leave };
  }, [owner, queries]);

  const welcome = async () => {
    const next = await queries.query({ queryKey: keys.me, queryFn: getMe, staleTime: 0 });
    if (owner && agentOf(next) !== agentOf(owner)) forgetAll(queries);
  };

  if (me.isPending) return <Waiting />;
  if (me.data === undefined) return <Waiting error={me.error} retry={() => void me.refetch()} />;
  return (
    <>
      {session && (
        <Activity mode={me.data ? "visible" : "hidden"} key={agentOf(session.me)}>
          <SessionContext value={session}>{children}</SessionContext>
        </Activity>
      )}
      {!me.data && <SignIn expired={session !== null} onSignedIn={welcome} />}
    </>
  );
}

function Waiting({ error, retry }: { error?: unknown; retry?: () => void }) {
  return (
    <Center mih="60vh" p="md" component="main">
      {error ? <ErrorNote error={error} retry={retry} /> : <Loader aria-label="Loading" />}
    </Center>
  );
}
