import type { Link } from "../api/types";
import { isOpen } from "./open";

/** The lock of a link that has ended is nobody's concern any more. */
export const isLocked = (link: Link): boolean => link.lock !== null && isOpen(link);
