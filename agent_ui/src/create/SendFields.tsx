import { Checkbox, SimpleGrid } from "@mantine/core";
import { useSession } from "../session/session";
import { CHANNELS, choicesFor } from "../ui/channels";
import { Fieldset } from "./Fieldset";
import { sendable } from "./draft";
import { useLinkFormContext } from "./form";

export function SendFields() {
  const form = useLinkFormContext();
  const { me } = useSession();
  return (
    <Fieldset legend="Send by">
      <Checkbox.Group aria-label="Send by" {...form.getInputProps("channels")}>
        <SimpleGrid cols={{ base: 1, xs: 2 }} spacing="sm">
          {choicesFor(me).map(({ name, available }) => (
            <Checkbox
              key={name}
              value={name}
              label={CHANNELS[name].label}
              description={available ? CHANNELS[name].hint : "not set up"}
              disabled={!available}
            />
          ))}
        </SimpleGrid>
      </Checkbox.Group>
      {sendable(form.values.channels).length > 1 && (
        <Checkbox
          mt="md"
          label="One after the other"
          description="The next is sent only when the one before does not arrive"
          {...form.getInputProps("inTurn", { type: "checkbox" })}
        />
      )}
    </Fieldset>
  );
}
