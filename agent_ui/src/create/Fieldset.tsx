import { Stack } from "@mantine/core";
import type { ReactNode } from "react";
import classes from "./create.module.css";

export function Fieldset({ legend, children }: { legend: string; children: ReactNode }) {
  return (
    <fieldset className={classes.fieldset}>
      <legend className={classes.legend}>{legend}</legend>
      <Stack gap="md">{children}</Stack>
    </fieldset>
  );
}
