/** What the server refused, or that it could not be asked: the gateway's own error body, typed. */
export class ApiError extends Error {
  constructor(
    /** HTTP status; 0 where no answer came. */
    readonly status: number,
    readonly code: string,
    message: string,
    readonly hint: string | null = null,
    readonly param: string | null = null,
    /** Seconds until it is worth asking again, where the server says so. */
    readonly retryAfter: number | null = null,
  ) {
    super(message)
    this.name = 'ApiError'
  }

  /** Whether the same request may succeed in a moment. */
  get retryable(): boolean {
    return this.status === 0 || [408, 425, 429, 500, 502, 503, 504].includes(this.status)
  }
}

/** No answer came. */
export function unreachable(): ApiError {
  return new ApiError(0, 'unreachable', 'The server does not answer', 'check that it runs and that you are online')
}

/** An error from an answer's status and body, which may be anything: a proxy answers in HTML. */
export function errorOf(status: number, body: string, retryAfter: string | null): ApiError {
  const seconds = retryAfter !== null && /^\d+$/.test(retryAfter) ? Number(retryAfter) : null
  const told = toldIn(body)
  if (told === null) {
    return new ApiError(status, 'http_error', `The server answered ${status}`, null, null, seconds)
  }
  return new ApiError(status, told.code, told.message, told.hint, told.param, seconds)
}

export interface ToldError {
  code: string
  message: string
  hint: string | null
  param: string | null
}

/** An error object as the API puts it into bodies and events; null where it is none. */
export function readError(value: unknown): ToldError | null {
  if (typeof value !== 'object' || value === null) return null
  const { code, message, hint, param } = value as Record<string, unknown>
  if (typeof message !== 'string') return null
  return {
    code: typeof code === 'string' ? code : 'error',
    message,
    hint: typeof hint === 'string' ? hint : null,
    param: typeof param === 'string' ? param : null,
  }
}

function toldIn(body: string) {
  try {
    return readError((JSON.parse(body) as { error?: unknown }).error)
  } catch {
    return null
  }
}

/** Whatever was thrown, as an ApiError; an abort stays what it is. */
export function asApiError(thrown: unknown): ApiError {
  if (thrown instanceof ApiError) return thrown
  return new ApiError(0, 'failed', thrown instanceof Error ? thrown.message : String(thrown))
}

export function isAbort(thrown: unknown): boolean {
  return thrown instanceof DOMException && thrown.name === 'AbortError'
}
