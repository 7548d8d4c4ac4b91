/** Search, and grounded answers. */
import { ask, send } from './client'
import { ApiError, readError } from './errors'
import { events } from './events'

/** start, end: a span of characters (code points) in the document's text. */
export interface Passage {
  index: number
  document_id: string
  source: string
  page: number | null
  heading: string | null
  start: number
  end: number
  text: string
  score: number
  evidence: number
  confidence: number
}

export interface Quote {
  text: string
  start: number
  end: number
  answer_start: number
  answer_end: number
}

export interface Citation extends Passage {
  cited: boolean
  quotes: Quote[]
}

export interface Answer {
  answer: string
  model: string
  finish_reason: string | null
  citations: Citation[]
  unverified_quotes: string[]
  abstained: boolean
  confidence: number
  usage: { prompt_tokens: number; completion_tokens: number; total_tokens: number }
}

const SHOWN = 10

export async function search(query: string, collection: string, signal: AbortSignal): Promise<Passage[]> {
  const body = { query, collection, limit: SHOWN }
  return (await ask<{ passages: Passage[] }>('/api/v1/rag/search', { method: 'POST', body, signal })).passages
}

/** Ask the documents; `said` is told of the answer as far as it is. Throws an ApiError. */
export async function question(
  query: string,
  collection: string,
  said: (text: string) => void,
  signal: AbortSignal,
): Promise<Answer> {
  const body = { query, collection, stream: true }
  const answer = await send('/api/v1/rag/query', { method: 'POST', body, signal })
  let text = ''
  if (answer.body !== null) {
    for await (const event of events(answer.body)) {
      const data = JSON.parse(event.data) as Record<string, unknown>
      if (event.event === 'delta') said((text += String(data.text)))
      else if (event.event === 'done') return data as unknown as Answer
      else if (event.event === 'error') {
        const told = readError(data.error)
        throw new ApiError(200, told?.code ?? 'error', told?.message ?? 'The answer broke off', told?.hint ?? null)
      }
    }
  }
  throw new ApiError(0, 'broken_off', 'The answer ended before it was finished', 'ask again')
}
