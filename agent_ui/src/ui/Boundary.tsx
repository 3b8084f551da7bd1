import { Button, Container, Stack, Text, Title } from "@mantine/core";
import { Component, type ReactNode } from "react";

interface BoundaryState {
  broken: boolean;
}

/** The last net: a fault in one page must not leave an agent before a white screen. */
export class Boundary extends Component<{ children: ReactNode }, BoundaryState> {
  override state: BoundaryState = { broken: false };

  static getDerivedStateFromError(): BoundaryState {
    return { broken: true };
  }

  override render() {
    if (!this.state.broken) return this.props.children;
    return (
      <Container size="xs" py={80}>
        <Stack role="alert" align="flex-start">
          <Title order={1} size="h2">
            This page stopped working
          </Title>
          <Text>Links and payments are not affected. Load the page again to go on.</Text>
          <Button onClick={() => window.location.reload()}>Load again</Button>
        </Stack>
      </Container>
    );
  }
}
