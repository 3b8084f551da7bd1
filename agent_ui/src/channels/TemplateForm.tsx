import { Badge, Button, Group, Stack, Text, Textarea, TextInput } from "@mantine/core";
import { useDebouncedValue } from "@mantine/hooks";
import { useMutation, useQuery, useQueryClient } from "@tanstack/react-query";
import { type SubmitEvent, useState } from "react";
import { previewTemplate, resetTemplate, saveTemplate } from "../api/channels";
import { ApiError } from "../api/problem";
import { keys } from "../api/queries";
import type { Template, TemplateDraft } from "../api/types";
import { ErrorNote } from "../ui/ErrorNote";
import classes from "./channels.module.css";

const TYPING_MS = 500;
const PLACES = "merchant, amount, url, description, reference, name, words, agent, expires";

interface Words {
  subject: string;
  text: string;
  mjml: string;
}

/** Only an e-mail has a subject, and words with a form. */
function draftOf({ channel, language }: Template, { subject, text, mjml }: Words): TemplateDraft {
  if (channel !== "email") return { channel, language, text };
  return { channel, language, text, subject, mjml: mjml.trim() ? mjml : null };
}

export function TemplateForm({ template }: { template: Template }) {
  const queries = useQueryClient();
  const [subject, setSubject] = useState(template.subject ?? "");
  const [text, setText] = useState(template.text);
  const [mjml, setMjml] = useState(template.mjml ?? "");
  const email = template.channel === "email";
  const draft = draftOf(template, { subject, text, mjml });
  const changed = () => queries.invalidateQueries({ queryKey: keys.templates });
  const save = useMutation({ mutationFn: () => saveTemplate(draft), onSuccess: changed });
  const reset = useMutation({
    mutationFn: () => resetTemplate(template.channel, template.language),
    onSuccess: changed,
  });
  const wrong = (field: string) =>
    save.error instanceof ApiError
      ? save.error.fields.find((one) => one.field === field)?.message
      : undefined;
  const placed = ["subject", "text", "mjml"].some((field) => wrong(field));
  const submit = (event: SubmitEvent) => {
    event.preventDefault();
    if (!save.isPending) save.mutate();
  };
  return (
    <form onSubmit={submit} noValidate>
      <Stack>
        <Group gap="xs">
          <Badge variant="light" color={template.custom ? "petrol" : "gray"} tt="none">
            {template.custom ? "Your own" : "Built in"}
          </Badge>
          <Text size="xs" c="dimmed">
            {"Places to fill in, each as {{ name }}: "}
            {PLACES}
          </Text>
        </Group>
        {email && (
          <TextInput
            label="Subject"
            value={subject}
            error={wrong("subject")}
            onChange={(event) => setSubject(event.currentTarget.value)}
          />
        )}
        <Textarea
          label="Text"
          className={classes.code}
          autosize
          minRows={4}
          maxRows={16}
          value={text}
          error={wrong("text")}
          onChange={(event) => setText(event.currentTarget.value)}
        />
        {email && (
          <Textarea
            label="HTML, as MJML"
            className={classes.code}
            autosize
            minRows={6}
            maxRows={18}
            value={mjml}
            error={wrong("mjml")}
            onChange={(event) => setMjml(event.currentTarget.value)}
          />
        )}
        <ErrorNote error={placed ? null : (save.error ?? reset.error)} />
        <Group>
          <Button type="submit" loading={save.isPending}>
            Save
          </Button>
          {template.custom && (
            <Button variant="default" loading={reset.isPending} onClick={() => reset.mutate()}>
              Back to the built-in text
            </Button>
          )}
        </Group>
        <Shown draft={draft} />
      </Stack>
    </form>
  );
}

/** The message as a customer would get it, with an example's values. */
function Shown({ draft }: { draft: TemplateDraft }) {
  const [settled] = useDebouncedValue(JSON.stringify(draft), TYPING_MS);
  const shown = useQuery({
    queryKey: ["template_preview", settled],
    queryFn: () => previewTemplate(JSON.parse(settled) as TemplateDraft),
    placeholderData: (previous) => previous,
    retry: false,
  });
  const { data } = shown;
  return (
    <Stack gap="xs" component="section" aria-label="Preview">
      <Text size="sm" fw={600}>
        Preview
      </Text>
      <ErrorNote error={shown.error} />
      {data?.subject && (
        <Text size="sm" fw={600}>
          {data.subject}
        </Text>
      )}
      {data && (
        <Text size="sm" className={classes.message} dir="auto">
          {data.text}
        </Text>
      )}
      {data?.html && (
        <iframe title="The message as HTML" sandbox="" srcDoc={data.html} className={classes.mail} />
      )}
      {data?.segments && (
        <Text size="xs" c="dimmed">
          {data.segments.characters} characters, {data.segments.encoding}, costs{" "}
          {data.segments.price_factor === 1 ? "1 message" : `${data.segments.price_factor} messages`}
        </Text>
      )}
    </Stack>
  );
}
