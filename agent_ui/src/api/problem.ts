/** What can go wrong with a call: the API says no (`ApiError`), or there is no answer at all (`NoAnswer`). */

export interface FieldError {
  field: string;
  code: string;
  message: string;
}

interface Problem {
  title: string;
  status: number;
  detail: string | null;
  code: string;
  errors: FieldError[];
}

export class ApiError extends Error {
  readonly status: number;
  readonly code: string;
  readonly fields: FieldError[];
  readonly retryAfter: number | null;

  constructor(problem: Problem, retryAfter: number | null) {
    super(problem.detail ?? problem.title);
    this.status = problem.status;
    this.code = problem.code;
    this.fields = problem.errors;
    this.retryAfter = retryAfter;
  }
}

export class NoAnswer extends Error {
  constructor() {
    super("No answer from paylink. Check the connection and try again.");
  }
}

const isRecord = (value: unknown): value is Record<string, unknown> =>
  typeof value === "object" && value !== null;
const textOr = <T>(value: unknown, otherwise: T) => (typeof value === "string" && value ? value : otherwise);

function fieldErrors(value: unknown): FieldError[] {
  if (!Array.isArray(value)) return [];
  return value.filter(isRecord).map((entry) => ({
    field: textOr(entry.field, ""),
    code: textOr(entry.code, "invalid"),
    message: textOr(entry.message, "Check this field"),
  }));
}

/** Proxies answer in HTML when the service is away, so nothing is taken for granted. */
export function toApiError(response: Response, body: unknown): ApiError {
  const problem = isRecord(body) ? body : {};
  const seconds = Number(response.headers.get("Retry-After"));
  return new ApiError(
    {
      title: textOr(problem.title, `paylink could not do that (HTTP ${response.status})`),
      status: response.status,
      detail: textOr(problem.detail, null),
      code: textOr(problem.code, "unknown"),
      errors: fieldErrors(problem.errors),
    },
    seconds > 0 ? seconds : null,
  );
}

export const messageOf = (error: unknown): string =>
  error instanceof Error ? error.message : "Something went wrong. Try again.";

export const isApiError = (error: unknown, code: string): error is ApiError =>
  error instanceof ApiError && error.code === code;
