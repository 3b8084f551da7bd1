import { TextInput } from "@mantine/core";

interface ReasonInputProps {
  value: string;
  onChange: (reason: string) => void;
}

/** Why an agent does something, for the merchant's records. */
export function ReasonInput({ value, onChange }: ReasonInputProps) {
  return (
    <TextInput
      label="Reason"
      description="For your records; the customer does not see it."
      value={value}
      onChange={(event) => onChange(event.currentTarget.value)}
    />
  );
}
