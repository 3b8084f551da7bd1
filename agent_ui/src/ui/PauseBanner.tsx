import { Alert, Button, Container, Group, Text } from "@mantine/core";
import { useDisclosure } from "@mantine/hooks";
import { useQuery, useQueryClient } from "@tanstack/react-query";
import { getMe, resumePayments } from "../api/account";
import { isApiError } from "../api/problem";
import { keys } from "../api/queries";
import { useSession } from "../session/session";
import { Confirm } from "./Confirm";
import { Icon } from "./icons";
import { TimeLeft } from "./TimeLeft";
import { useNow } from "./useNow";

const LOOK_AGAIN_MS = 60_000;

interface PauseBannerProps {
  /** The stream tells of this page's link alone, so a pause that began on another one has to be asked for. */
  narrowed: boolean;
}

/** While many declines have stopped all payments: what it means, until when, and the way out of it. */
export function PauseBanner({ narrowed }: PauseBannerProps) {
  const until = useSession().me.payments_paused_until;
  useQuery({
    queryKey: keys.me,
    queryFn: getMe,
    refetchInterval: narrowed && LOOK_AGAIN_MS,
    enabled: narrowed,
  });
  const now = useNow();
  if (!until || Date.parse(until) <= now) return null;
  return <Banner until={until} />;
}

function Banner({ until }: { until: string }) {
  const queries = useQueryClient();
  const [opened, dialog] = useDisclosure();

  const resume = async () => {
    await resumePayments().catch((error: unknown) => {
      if (!isApiError(error, "payments_not_paused")) throw error;
    });
    await queries.invalidateQueries({ queryKey: keys.me });
  };

  return (
    <Container size="xl" pt="md">
      <Alert
        color="red"
        icon={<Icon name="pause" />}
        title={
          <>
            Payments are paused until <TimeLeft until={until} />
          </>
        }
      >
        <Group justify="space-between" gap="sm">
          <Text size="sm" flex="1 1 320px">
            Too many tries to pay were declined, which is what a test of stolen cards looks like. Until then
            no customer can pay with any link; links can still be made and sent.
          </Text>
          <Button variant="default" onClick={dialog.open}>
            Resume payments
          </Button>
        </Group>
        <Confirm
          opened={opened}
          onClose={dialog.close}
          title="Resume payments?"
          confirm="Resume payments"
          color="red"
          action={resume}
        >
          <Text size="sm">
            If somebody is trying out stolen cards, they go on at once: each try costs a fee, what they pay
            comes back as disputes, and your payment provider may close your account. Resume only when you
            know why so many payments were declined.
          </Text>
        </Confirm>
      </Alert>
    </Container>
  );
}
