/** One search or question at a time, and what came of the last. */
import { useEffect, useRef, useState } from 'react'

import { type ApiError, asApiError, isAbort } from '../../../api/errors'
import { type Answer, type Passage, question, search } from '../../../api/rag'

export type Way = 'search' | 'ask'

/** answer: null while it is still being written; text is what there is of it. */
export type Result =
  | { kind: 'passages'; query: string; passages: Passage[] }
  | { kind: 'answer'; query: string; text: string; answer: Answer | null }

export interface Asking {
  result: Result | null
  error: ApiError | null
  busy: boolean
  /** Ends what still runs. */
  run: (way: Way, query: string) => Promise<void>
  stop: () => void
  clear: () => void
}

export function useAsking(collection: string): Asking {
  const [result, setResult] = useState<Result | null>(null)
  const [error, setError] = useState<ApiError | null>(null)
  const [busy, setBusy] = useState(false)
  const running = useRef<AbortController | null>(null)
  const stop = () => running.current?.abort()
  useEffect(() => () => running.current?.abort(), [])

  const run = async (way: Way, query: string) => {
    stop()
    const abortion = new AbortController()
    running.current = abortion
    setBusy(true)
    setError(null)
    try {
      if (way === 'search') {
        setResult({ kind: 'passages', query, passages: await search(query, collection, abortion.signal) })
      } else {
        const said = (text: string) => setResult({ kind: 'answer', query, text, answer: null })
        said('')
        const answer = await question(query, collection, said, abortion.signal)
        setResult({ kind: 'answer', query, text: answer.answer, answer })
      }
    } catch (thrown) {
      if (!isAbort(thrown)) setError(asApiError(thrown))
    } finally {
      if (running.current === abortion) setBusy(false)
    }
  }
  const clear = () => {
    stop()
    setResult(null)
    setError(null)
  }
  return { result, error, busy, run, stop, clear }
}
