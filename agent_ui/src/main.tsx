import "@mantine/core/styles.css";
import "./styles.css";
import { MantineProvider } from "@mantine/core";
import { QueryClient, QueryClientProvider } from "@tanstack/react-query";
import { StrictMode } from "react";
import { createRoot } from "react-dom/client";
import { ApiError } from "./api/problem";
import { Console } from "./Console";
import { SessionGate } from "./session/SessionGate";
import { Boundary } from "./ui/Boundary";
import { theme, variables } from "./ui/theme";

const RETRIES = 2;

/** A "no" stays a "no"; only silence and server faults are worth asking again. */
const worthRetrying = (failures: number, error: unknown) =>
  failures < RETRIES && !(error instanceof ApiError && error.status < 500);

const queries = new QueryClient({
  defaultOptions: {
    queries: { retry: worthRetrying, refetchOnWindowFocus: false, networkMode: "always" },
    // Otherwise what is asked for offline waits unseen and is done when the network is back, be it money taken.
    mutations: { networkMode: "always" },
  },
});

const root = document.getElementById("root");
if (!root) throw new Error("index.html has no #root");

createRoot(root).render(
  <StrictMode>
    <MantineProvider theme={theme} cssVariablesResolver={variables} defaultColorScheme="auto">
      <Boundary>
        <QueryClientProvider client={queries}>
          <SessionGate>
            <Console />
          </SessionGate>
        </QueryClientProvider>
      </Boundary>
    </MantineProvider>
  </StrictMode>,
);
