/** Something from the server, loaded again when it changes. */
import { useCallback, useEffect, useRef, useState } from 'react'

import { type ApiError, asApiError, isAbort } from '../api/errors'
import { Refresher } from './refresher'

export interface Loaded<T> {
  /** What was loaded last, also while it is loaded anew; null before the first. */
  value: T | null
  error: ApiError | null
  loading: boolean
  /** Load again: somebody waits to see what they changed. */
  reload: () => void
  /** It has changed by itself: load again when it is time. */
  refresh: () => void
}

/** load: stable (useCallback); a new one begins anew. */
export function useLoaded<T>(load: (signal: AbortSignal) => Promise<T>): Loaded<T> {
  const [state, setState] = useState<{ value: T | null; error: ApiError | null; loading: boolean }>({
    value: null,
    error: null,
    loading: true,
  })
  const refresher = useRef<Refresher | null>(null)
  useEffect(() => {
    const abortion = new AbortController()
    const loads = new Refresher(async () => {
      setState((before) => ({ ...before, loading: true }))
      try {
        const value = await load(abortion.signal)
        if (!abortion.signal.aborted) setState({ value, error: null, loading: false })
      } catch (thrown) {
        if (isAbort(thrown) || abortion.signal.aborted) return
        setState((before) => ({ ...before, error: asApiError(thrown), loading: false }))
      }
    })
    refresher.current = loads
    loads.begin()
    return () => {
      loads.stop()
      abortion.abort()
    }
  }, [load])
  const reload = useCallback(() => refresher.current?.now(), [])
  const refresh = useCallback(() => refresher.current?.soon(), [])
  return { value: state.value, error: state.error, loading: state.loading, reload, refresh }
}
