/** Carries stream events into what TanStack Query holds, so that pages need not know of the stream. */
import type { InfiniteData, QueryClient } from "@tanstack/react-query";
import { getLink } from "../api/links";
import { keys } from "../api/queries";
import type { Link, LinkEvent, Page } from "../api/types";
import { WORDINGS } from "./sentences";
import { mergeEvents } from "./timeline";
import type { Stale } from "./wording";

/** Events come in bursts; one refetch serves a burst. */
const BURST_MS = 120;
/** Beyond this many changed rows one page is cheaper than the rows. */
const ROWS_AT_ONCE = 8;

/** What belongs to no one link. */
const SHARED = { account: keys.me, disputes: keys.disputes };

export class CacheSync {
  #changed = new Map<string, Set<Stale>>();
  #created = false;
  #timer: ReturnType<typeof setTimeout> | undefined;
  readonly #queries: QueryClient;

  constructor(queries: QueryClient) {
    this.#queries = queries;
  }

  take(event: LinkEvent): void {
    const live = keys.live(event.payment_link);
    this.#queries.setQueryData<LinkEvent[]>(live, (known) => mergeEvents(known ?? [], [event]));
    const stale = WORDINGS[event.type]?.stale ?? [];
    if (stale.length === 0) return;
    const changed = this.#changed.get(event.payment_link) ?? new Set();
    for (const name of stale) changed.add(name);
    this.#changed.set(event.payment_link, changed);
    this.#created ||= event.type === "link.created";
    this.#timer ??= setTimeout(() => this.#flush(), BURST_MS);
  }

  /** After a gap: what is on screen is asked for again. */
  refresh(): void {
    void this.#queries.invalidateQueries({ queryKey: keys.lists });
    void this.#queries.invalidateQueries({ queryKey: ["link"] });
    for (const queryKey of Object.values(SHARED)) void this.#queries.invalidateQueries({ queryKey });
  }

  stop(): void {
    clearTimeout(this.#timer);
    this.#timer = undefined;
  }

  #flush(): void {
    this.#timer = undefined;
    const changed = [...this.#changed];
    this.#changed.clear();
    for (const [link, stale] of changed) this.#refreshLink(link, stale);
    for (const [name, queryKey] of Object.entries(SHARED)) {
      if (changed.some(([, stale]) => stale.has(name as Stale)))
        void this.#queries.invalidateQueries({ queryKey });
    }
    const rows = changed.filter(([, stale]) => stale.has("link")).map(([link]) => link);
    if (this.#created || rows.length > ROWS_AT_ONCE)
      void this.#queries.invalidateQueries({ queryKey: keys.lists });
    else for (const link of rows) void this.#refreshRow(link);
    this.#created = false;
  }

  #refreshLink(link: string, stale: Set<Stale>): void {
    if (stale.has("link")) void this.#queries.invalidateQueries({ queryKey: keys.link(link), exact: true });
    if (!stale.has("payments")) return;
    void this.#queries.invalidateQueries({ queryKey: keys.payments(link) });
    void this.#queries.invalidateQueries({ queryKey: keys.refundsOf(link) });
  }

  async #refreshRow(id: string): Promise<void> {
    const lists = this.#queries.getQueryCache().findAll({ queryKey: keys.lists, type: "active" });
    if (!lists.some((list) => holds(list.state.data as LinkPages | undefined, id))) return;
    const link = await getLink(id).catch(() => null);
    if (!link) return;
    this.#queries.setQueriesData<LinkPages>(
      { queryKey: keys.lists },
      (pages) => pages && replaceRow(pages, link),
    );
  }
}

type LinkPages = InfiniteData<Page<Link>, string | undefined>;

const holds = (pages: LinkPages | undefined, id: string) =>
  pages?.pages.some((page) => page.data.some((row) => row.id === id)) ?? false;

const replaceRow = (pages: LinkPages, link: Link): LinkPages => ({
  ...pages,
  pages: pages.pages.map((page) => ({
    ...page,
    data: page.data.map((row) => (row.id === link.id ? link : row)),
  })),
});
