import { Alert, Button, Center, Paper, PasswordInput, Stack, Text, TextInput, Title } from "@mantine/core";
import { useMutation } from "@tanstack/react-query";
import { type SubmitEvent, useEffect, useState } from "react";
import { signIn } from "../api/account";
import { ApiError, isApiError } from "../api/problem";
import { Brand } from "../ui/Brand";
import { ErrorNote } from "../ui/ErrorNote";

interface SignInProps {
  expired: boolean;
  onSignedIn: () => Promise<void>;
}

export function SignIn({ expired, onSignedIn }: SignInProps) {
  const [email, setEmail] = useState("");
  const [password, setPassword] = useState("");
  const enter = useMutation({
    mutationFn: () => signIn(email.trim(), password),
    onSuccess: onSignedIn,
  });

  useEffect(() => {
    document.title = "Sign in – paylink";
  }, []);

  const submit = (event: SubmitEvent) => {
    event.preventDefault();
    if (!enter.isPending) enter.mutate();
  };

  return (
    <Center mih="100vh" p="md" component="main">
      <Paper w="100%" maw={400} p="xl" withBorder shadow="sm">
        <form onSubmit={submit}>
          <Stack>
            <Brand />
            <Title order={1} size="h3">
              Sign in
            </Title>
            {expired && !enter.error && (
              <Alert role="status">Your session has ended. Sign in to go on where you were.</Alert>
            )}
            <ErrorNote error={enter.error && explain(enter.error)} />
            <TextInput
              label="Email"
              type="email"
              autoComplete="username"
              required
              withAsterisk={false}
              autoFocus
              value={email}
              onChange={(event) => setEmail(event.currentTarget.value)}
            />
            <PasswordInput
              label="Password"
              autoComplete="current-password"
              required
              withAsterisk={false}
              value={password}
              onChange={(event) => setPassword(event.currentTarget.value)}
              visibilityToggleButtonProps={{ "aria-label": "Show what is typed" }}
            />
            <Button type="submit" loading={enter.isPending}>
              Sign in
            </Button>
            <Text size="xs" c="dimmed">
              Links are made and followed here; card details are entered by the customer alone and never
              shown.
            </Text>
          </Stack>
        </form>
      </Paper>
    </Center>
  );
}

function explain(error: unknown): unknown {
  if (isApiError(error, "invalid_credentials")) return new Error("Email or password is wrong.");
  if (error instanceof ApiError && error.status === 429) {
    const wait = error.retryAfter ? `in ${error.retryAfter} seconds` : "later";
    return new Error(`Too many attempts. Try again ${wait}.`);
  }
  return error;
}
