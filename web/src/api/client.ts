/** Requests to the gateway: JSON in, JSON out, and every failure an ApiError. */
import { ApiError, errorOf, isAbort, unreachable } from './errors'
import { authorization, renew } from './session'

export interface Asked {
  method?: 'GET' | 'POST' | 'PATCH' | 'DELETE'
  query?: Record<string, string | number | readonly string[] | null | undefined>
  body?: unknown
  headers?: Record<string, string>
  signal?: AbortSignal | undefined
}

/** Ask for JSON. Throws an ApiError, or the signal's AbortError. */
export async function ask<T>(path: string, asked: Asked = {}): Promise<T> {
  const answer = await send(path, asked)
  return (answer.status === 204 ? undefined : await answer.json()) as T
}

/** Ask, and give the answer that is no error as it comes: for streams. Throws as `ask` does. */
export async function send(path: string, asked: Asked = {}): Promise<Response> {
  const first = await attempt(path, asked)
  const answer = first.status === 401 && (await renew()) ? await attempt(path, asked) : first
  if (answer.ok) return answer
  throw await failure(answer)
}

/** A path with its query; what is null or empty is left out, a list is the name again for each. */
export function address(path: string, query: Asked['query'] = {}): string {
  const found = new URLSearchParams()
  for (const [name, value] of Object.entries(query)) {
    if (value === null || value === undefined || value === '') continue
    for (const one of Array.isArray(value) ? value : [value]) found.append(name, String(one))
  }
  const text = found.toString()
  return text === '' ? path : `${path}?${text}`
}

async function attempt(path: string, asked: Asked): Promise<Response> {
  const headers: Record<string, string> = { ...(await authorization()), ...asked.headers }
  const init: RequestInit = { method: asked.method ?? 'GET', headers, signal: asked.signal ?? null }
  if (asked.body !== undefined) {
    headers['content-type'] = 'application/json'
    init.body = JSON.stringify(asked.body)
  }
  try {
    return await fetch(address(path, asked.query), init)
  } catch (error) {
    if (isAbort(error)) throw error
    throw unreachable()
  }
}

async function failure(answer: Response): Promise<ApiError> {
  return errorOf(answer.status, await answer.text().catch(() => ''), answer.headers.get('retry-after'))
}
