import { Alert, Button, Group, Stack, TextInput } from "@mantine/core";
import { useMutation, useQueryClient } from "@tanstack/react-query";
import { type SubmitEvent, useState } from "react";
import { createApiKey } from "../api/account";
import { SubmitKey } from "../api/keys";
import { ApiError } from "../api/problem";
import { keys } from "../api/queries";
import { CopyButton } from "../ui/CopyButton";
import { ErrorNote } from "../ui/ErrorNote";

export function NewApiKey() {
  const queries = useQueryClient();
  const [name, setName] = useState("");
  const [submitKey] = useState(() => new SubmitKey());
  const create = useMutation({
    mutationFn: () => createApiKey(name.trim(), submitKey.for(name.trim())),
    onSuccess: () => {
      setName("");
      submitKey.settled();
      void queries.invalidateQueries({ queryKey: keys.apiKeys });
    },
    onError: (error) => {
      if (error instanceof ApiError && error.status < 500) submitKey.settled();
    },
  });
  const submit = (event: SubmitEvent) => {
    event.preventDefault();
    if (!create.isPending && name.trim()) create.mutate();
  };
  return (
    <Stack>
      <form onSubmit={submit}>
        <Group align="flex-end" gap="xs">
          <TextInput
            label="Name of the new key"
            placeholder="CRM"
            flex={1}
            miw={180}
            value={name}
            onChange={(event) => setName(event.currentTarget.value)}
          />
          <Button type="submit" loading={create.isPending} disabled={!name.trim()}>
            Create key
          </Button>
        </Group>
      </form>
      <ErrorNote error={create.error} />
      {create.data?.key && (
        <Alert color="green" title={`${create.data.name}: copy the key now`} role="status">
          <Stack gap="xs" align="flex-start">
            It is shown this once and cannot be read again.
            <TextInput
              aria-label="New API key"
              readOnly
              w="100%"
              value={create.data.key}
              onFocus={(event) => event.currentTarget.select()}
            />
            <Group gap="xs">
              <CopyButton text={create.data.key} label="Copy key" />
              <Button variant="subtle" onClick={create.reset}>
                Done
              </Button>
            </Group>
          </Stack>
        </Alert>
      )}
    </Stack>
  );
}
