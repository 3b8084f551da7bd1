import type { LinkEvent } from "../api/types";
import { progressOf, type Step, type StepName, type StepState } from "../stream/progress";
import { Icon, type IconName } from "../ui/icons";
import { absoluteTime, clockTime } from "../ui/time";
import classes from "./Progress.module.css";

const LABELS: Record<StepName, string> = {
  created: "Created",
  sent: "Sent",
  delivered: "Delivered",
  opened: "Opened",
  card: "Card entry",
  submitted: "Submitted",
  fraud: "Fraud check",
  paid: "Paid",
};

const STATES: Record<StepState, { said: string; icon: IconName | null }> = {
  waiting: { said: "not yet", icon: null },
  active: { said: "in progress", icon: null },
  done: { said: "done", icon: "check" },
  failed: { said: "failed", icon: "cross" },
  skipped: { said: "not reported", icon: "dash" },
};

export function Progress({ events }: { events: LinkEvent[] }) {
  return (
    <ol className={classes.steps} aria-label="Progress">
      {progressOf(events).map((step) => (
        <StepItem key={step.name} step={step} />
      ))}
    </ol>
  );
}

function StepItem({ step: { name, state, at } }: { step: Step }) {
  const { said, icon } = STATES[state];
  return (
    <li className={classes.step} data-state={state} aria-current={state === "active" ? "step" : undefined}>
      <span className={classes.dot}>{icon && <Icon name={icon} size={14} />}</span>
      <span className={classes.label}>
        {LABELS[name]}
        <span className="sr-only">, {said}</span>
      </span>
      <span className={classes.time}>
        {at && (
          <time dateTime={at} title={absoluteTime(at)}>
            {clockTime(at)}
          </time>
        )}
      </span>
    </li>
  );
}
