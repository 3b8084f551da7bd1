import { Button, type ButtonProps } from "@mantine/core";
import { useState } from "react";
import { Icon } from "./icons";

const SAID_FOR_MS = 2000;

/** The clipboard is missing on plain http; selecting and copying the old way still works there. */
async function copy(text: string): Promise<boolean> {
  if (window.isSecureContext) {
    return navigator.clipboard.writeText(text).then(
      () => true,
      () => false,
    );
  }
  const area = document.createElement("textarea");
  area.value = text;
  document.body.append(area);
  area.select();
  // eslint-disable-next-line @typescript-eslint/no-deprecated -- where there is no clipboard, nothing else is left
  const copied = document.execCommand("copy");
  area.remove();
  return copied;
}

type Said = "copied" | "failed" | null;

export function CopyButton({ text, label, ...props }: { text: string; label: string } & ButtonProps) {
  const [said, setSaid] = useState<Said>(null);
  const onClick = async () => {
    setSaid((await copy(text)) ? "copied" : "failed");
    setTimeout(() => setSaid(null), SAID_FOR_MS);
  };
  const words = { copied: "Copied", failed: "Select and copy by hand" };
  return (
    <Button
      variant="default"
      leftSection={<Icon name={said === "copied" ? "check" : "copy"} size={16} />}
      onClick={() => void onClick()}
      aria-live="polite"
      {...props}
    >
      {said ? words[said] : label}
    </Button>
  );
}
