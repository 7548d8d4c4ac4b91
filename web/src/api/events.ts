/**
 * Server-sent events through `fetch`: an EventSource can send no credentials but cookies, and no body.
 */
import { type Asked, send } from './client'
import { asApiError, isAbort } from './errors'

export interface ServerEvent {
  id: string | null
  event: string
  data: string
}

const SILENT_MS = 45_000 // the server sends a comment every 15 s: three missed are a dead connection
const LONGEST_WAIT_MS = 10_000

/** The events of an answer's body, each when it is whole. */
export async function* events(body: ReadableStream<Uint8Array>): AsyncGenerator<ServerEvent> {
  const reader = body.pipeThrough(new TextDecoderStream() as ReadableWritablePair<string, Uint8Array>).getReader()
  const parser = new EventParser()
  try {
    for (;;) {
      const { done, value } = await reader.read()
      if (done) return
      yield* parser.take(value)
    }
  } finally {
    await reader.cancel().catch(() => undefined)
  }
}

/** Takes text in any pieces, and gives whole events. */
export class EventParser {
  private rest = ''

  take(text: string): ServerEvent[] {
    this.rest += text
    // A lone \r at the end may be half of a \r\n.
    const usable = this.rest.endsWith('\r') ? this.rest.slice(0, -1) : this.rest
    const blocks = usable.replaceAll(/\r\n?/g, '\n').split('\n\n')
    this.rest = (blocks.pop() ?? '') + (usable === this.rest ? '' : '\r')
    return blocks.flatMap(parsed)
  }
}

function parsed(block: string): ServerEvent[] {
  let id: string | null = null
  let event = 'message'
  const data: string[] = []
  for (const line of block.split('\n')) {
    const at = line.indexOf(':')
    const name = at < 0 ? line : line.slice(0, at)
    const value = at < 0 ? '' : line.slice(at + 1).replace(/^ /, '')
    if (name === 'id') id = value
    else if (name === 'event') event = value
    else if (name === 'data') data.push(value)
  }
  return data.length === 0 ? [] : [{ id, event, data: data.join('\n') }]
}

export interface Followed {
  /** Events that end the stream. */
  last: readonly string[]
  signal: AbortSignal
  /** Told whether the connection is there, as it changes. */
  connected?: (there: boolean) => void
}

/**
 * A path's events until one that is the last, over as many connections as it takes: each begins after the event
 * that was seen last. Throws an ApiError that no other try can help, and the signal's AbortError.
 */
export async function* followed(path: string, { last, signal, connected }: Followed): AsyncGenerator<ServerEvent> {
  let seen: string | null = null
  let failures = 0
  for (;;) {
    const line = new AbortController()
    const both = AbortSignal.any([signal, line.signal])
    let timer = setTimeout(() => line.abort(), SILENT_MS)
    try {
      const asked: Asked = { signal: both, headers: seen === null ? {} : { 'last-event-id': seen } }
      const answer = await send(path, asked)
      if (answer.status === 204 || answer.body === null) return
      connected?.(true)
      const alive = answer.body.pipeThrough(
        new TransformStream<Uint8Array, Uint8Array>({
          transform(chunk, to) {
            clearTimeout(timer)
            timer = setTimeout(() => line.abort(), SILENT_MS)
            to.enqueue(chunk)
          },
        }),
      )
      for await (const event of events(alive)) {
        seen = event.id ?? seen
        failures = 0 // by an event alone: a line that opens and falls at once is tried less and less often
        yield event
        if (last.includes(event.event)) return
      }
    } catch (error) {
      if (signal.aborted) throw error
      if (!isAbort(error) && error instanceof Error && error.name === 'ApiError' && !asApiError(error).retryable) throw error
    } finally {
      clearTimeout(timer)
      line.abort()
    }
    connected?.(false)
    await pause(Math.min(LONGEST_WAIT_MS, 500 * 2 ** failures), signal)
    failures += 1
  }
}

/** Wait. Rejects with an AbortError as soon as the signal says so. */
export function pause(ms: number, signal: AbortSignal): Promise<void> {
  return new Promise((resolve, reject) => {
    const abort = () => {
      clearTimeout(timer)
      reject(new DOMException('aborted', 'AbortError'))
    }
    if (signal.aborted) return abort()
    const timer = setTimeout(() => {
      signal.removeEventListener('abort', abort)
      resolve()
    }, ms)
    signal.addEventListener('abort', abort, { once: true })
  })
}
