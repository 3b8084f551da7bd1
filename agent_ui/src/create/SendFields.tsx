import { Checkbox, SimpleGrid } from "@mantine/core";
import { useSession } from "../session/session";
import { CHANNELS, choicesFor } from "../ui/channels";
import { Fieldset } from "./Fieldset";
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
    </Fieldset>
  );
}
