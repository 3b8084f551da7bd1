import { createFormContext } from "@mantine/form";
import type { Values } from "./draft";

export const [LinkFormProvider, useLinkFormContext, useLinkForm] = createFormContext<Values>();
