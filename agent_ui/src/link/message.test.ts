import { expect, it } from "vitest";
import { withAddress } from "./message";

const URL = "https://pay.example/p/AbC-_123";

it("puts the true address where the preview has a stand-in", () => {
  expect(withAddress("Pay £5 at https://pay.example/p/xxxxxx by Friday.", URL)).toBe(
    `Pay £5 at ${URL} by Friday.`,
  );
  expect(withAddress("https://pay.example/p/xxxxxx", URL)).toBe(URL);
});

it("makes no message without one", () => {
  expect(withAddress("Pay £5 at https://other.example/p/xxxxxx", URL)).toBeNull();
});
