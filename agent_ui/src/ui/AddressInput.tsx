import { TextInput, type TextInputProps } from "@mantine/core";
import type { ChannelName } from "../api/types";
import type { Address } from "./channels";
import { useAddressCheck } from "./useAddressCheck";

interface AddressInputProps extends Omit<TextInputProps, "value"> {
  kind: NonNullable<Address>;
  /** The channel that will use the address. */
  channel: ChannelName;
  value: string;
}

/** A phone number or email address, checked while it is typed. */
export function AddressInput({ kind, channel, value, error, ...props }: AddressInputProps) {
  const check = useAddressCheck(channel, value);
  const phone = kind === "phone";
  return (
    <TextInput
      type={phone ? "tel" : "email"}
      inputMode={phone ? "tel" : "email"}
      placeholder={phone ? "+44 7700 900123" : "name@example.com"}
      autoComplete="off"
      value={value}
      error={error ?? check.error}
      description={check.normalized && `Will be used as ${check.normalized}`}
      inputWrapperOrder={["label", "input", "description", "error"]}
      {...props}
    />
  );
}
