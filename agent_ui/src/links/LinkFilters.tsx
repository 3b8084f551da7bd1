import { Chip, CloseButton, Group, TextInput } from "@mantine/core";
import { useDebouncedCallback } from "@mantine/hooks";
import { useState } from "react";
import type { LinkStatus } from "../api/types";
import { Icon } from "../ui/icons";
import { LINK_STATUS } from "../ui/StatusBadge";
import { useLinkFilter } from "./useLinkFilter";

const TYPING_MS = 300;
const STATUSES = Object.keys(LINK_STATUS) as LinkStatus[];

export function LinkFilters() {
  const { filter, setFilter } = useLinkFilter();
  const [text, setText] = useState(filter.q);
  const search = useDebouncedCallback((q: string) => setFilter({ ...filter, q: q.trim() }), TYPING_MS);
  const type = (q: string) => {
    setText(q);
    search(q);
  };
  return (
    <Group role="search" aria-label="Payment links" gap="sm">
      <TextInput
        aria-label="Search"
        placeholder="Customer, reference, description"
        leftSection={<Icon name="search" />}
        rightSection={text && <CloseButton aria-label="Clear search" onClick={() => type("")} />}
        value={text}
        onChange={(event) => type(event.currentTarget.value)}
        flex="1 1 260px"
        maw={{ sm: 380 }}
      />
      <Chip.Group
        multiple
        value={filter.status}
        onChange={(chosen) =>
          setFilter({ ...filter, status: STATUSES.filter((one) => chosen.includes(one)) })
        }
      >
        <Group gap={6} role="group" aria-label="Status">
          {STATUSES.map((status) => (
            <Chip key={status} value={status} size="sm" variant="light">
              {LINK_STATUS[status].label}
            </Chip>
          ))}
        </Group>
      </Chip.Group>
    </Group>
  );
}
