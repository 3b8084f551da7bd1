import { Group, NativeSelect, Skeleton, Stack, Text } from "@mantine/core";
import { useState } from "react";
import { useTemplates } from "../api/queries";
import type { Template } from "../api/types";
import { SettingsFrame } from "../settings/SettingsFrame";
import { CHANNELS } from "../ui/channels";
import { ErrorNote } from "../ui/ErrorNote";
import { Panel } from "../ui/Panel";
import { languageName } from "./languages";
import { TemplateForm } from "./TemplateForm";

const unique = <T,>(list: T[]): T[] => [...new Set(list)];

/** What messages say, by channel and language. */
export function MessagesPage() {
  const templates = useTemplates();
  return (
    <SettingsFrame title="Messages">
      <Panel title="Messages">
        <Stack>
          <Text size="sm" c="dimmed">
            What customers are sent. Without a text of your own the built-in one is used.
          </Text>
          <ErrorNote error={templates.error} retry={() => void templates.refetch()} />
          {templates.isPending && <Skeleton height={240} />}
          {templates.data && <Choice templates={templates.data.data} />}
        </Stack>
      </Panel>
    </SettingsFrame>
  );
}

function Choice({ templates }: { templates: Template[] }) {
  const [channel, setChannel] = useState(templates[0]?.channel ?? "sms");
  const [language, setLanguage] = useState("en");
  const template = templates.find((one) => one.channel === channel && one.language === language);
  return (
    <>
      <Group>
        <NativeSelect
          label="Channel"
          value={channel}
          onChange={(event) => setChannel(event.currentTarget.value as Template["channel"])}
          data={unique(templates.map((one) => one.channel)).map((name) => ({
            value: name,
            label: CHANNELS[name].label,
          }))}
        />
        <NativeSelect
          label="Language"
          value={language}
          onChange={(event) => setLanguage(event.currentTarget.value)}
          data={unique(templates.map((one) => one.language)).map((tag) => ({
            value: tag,
            label: languageName(tag),
          }))}
        />
      </Group>
      {template && (
        <TemplateForm key={`${channel} ${language} ${template.updated_at ?? ""}`} template={template} />
      )}
    </>
  );
}
