import type { Link } from "../api/types";

/** Whether it can still be paid, wholly or what is left of it. */
export const isOpen = ({ status }: Pick<Link, "status">) =>
  status === "active" || status === "partially_paid";
