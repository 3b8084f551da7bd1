import { Route, Switch, useLocation, useRoute } from "wouter";
import { NewLinkPage } from "./create/NewLinkPage";
import { DisputesPage } from "./disputes/DisputesPage";
import { LinkPage } from "./link/LinkPage";
import { PaymentRedirect } from "./link/PaymentRedirect";
import { LinksPage } from "./links/LinksPage";
import { AuditPage } from "./settings/AuditPage";
import { ChannelsPage } from "./channels/ChannelsPage";
import { MessagesPage } from "./channels/MessagesPage";
import { OptOutsPage } from "./channels/OptOutsPage";
import { SettingsPage } from "./settings/SettingsPage";
import { useStream } from "./stream/useStream";
import { Boundary } from "./ui/Boundary";
import { NotFound } from "./ui/NotFound";
import { Shell } from "./ui/Shell";

/** All of the console behind the sign-in. On a link's page the stream is narrowed to that link. */
export function Console() {
  const [, params] = useRoute("/links/:id");
  const [location] = useLocation();
  const link = params && params.id !== "new" ? params.id : null;
  const connection = useStream(link);
  return (
    <Shell connection={connection} narrowed={link !== null}>
      <Boundary key={location}>
        <Switch>
          <Route path="/" component={LinksPage} />
          <Route path="/links/new" component={NewLinkPage} />
          <Route path="/links/:id">{({ id }) => <LinkPage key={id} id={id} />}</Route>
          <Route path="/payments/:id">{({ id }) => <PaymentRedirect key={id} id={id} />}</Route>
          <Route path="/disputes" component={DisputesPage} />
          <Route path="/settings" component={SettingsPage} />
          <Route path="/settings/channels" component={ChannelsPage} />
          <Route path="/settings/messages" component={MessagesPage} />
          <Route path="/settings/opt-outs" component={OptOutsPage} />
          <Route path="/settings/audit" component={AuditPage} />
          <Route>
            <NotFound />
          </Route>
        </Switch>
      </Boundary>
    </Shell>
  );
}
