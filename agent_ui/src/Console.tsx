import { Route, Switch, useLocation, useRoute } from "wouter";
import { NewLinkPage } from "./create/NewLinkPage";
import { LinkPage } from "./link/LinkPage";
import { LinksPage } from "./links/LinksPage";
import { SettingsPage } from "./settings/SettingsPage";
import { useStream } from "./stream/useStream";
import { Boundary } from "./ui/Boundary";
import { NotFound } from "./ui/NotFound";
import { Shell } from "./ui/Shell";

/** All of the console behind the sign-in. On a link's page the stream is narrowed to that link. */
export function Console() {
  const [, params] = useRoute("/links/:id");
  const [location] = useLocation();
  const connection = useStream(params && params.id !== "new" ? params.id : null);
  return (
    <Shell connection={connection}>
      <Boundary key={location}>
        <Switch>
          <Route path="/" component={LinksPage} />
          <Route path="/links/new" component={NewLinkPage} />
          <Route path="/links/:id">{({ id }) => <LinkPage key={id} id={id} />}</Route>
          <Route path="/settings" component={SettingsPage} />
          <Route>
            <NotFound />
          </Route>
        </Switch>
      </Boundary>
    </Shell>
  );
}
