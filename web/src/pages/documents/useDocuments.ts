/** A collection's documents, as many as are sorted in the browser. */
import { useCallback, useEffect, useState } from 'react'

import { type Document, list } from '../../api/documents'
import { type Loaded, useLoaded } from '../../parts/useLoaded'

export interface Filter {
  /** A part of the name; all where it is empty. */
  source: string
  tag: string | null
}

export interface Shelf {
  documents: readonly Document[]
  /** How many fit, loaded or not. */
  total: number
}

const A_REQUEST = 1000
const MOST = 10_000 // what is sorted here; of more the newest

/** Which state of a collection is shown. */
export interface Version {
  /** Grows when documents changed. */
  number: number
  /** Whether somebody waits to see it. */
  waited: boolean
}

export function useDocuments(collection: string, { source, tag }: Filter, version: Version): Loaded<Shelf> {
  const load = useCallback(
    (signal: AbortSignal) => all(collection, { source, tag }, signal),
    [collection, source, tag],
  )
  const loaded = useLoaded(load)
  const { reload, refresh } = loaded
  useEffect(() => {
    if (version.number === 0) return
    if (version.waited) reload()
    else refresh()
  }, [version, reload, refresh])
  return loaded
}

async function all(collection: string, { source, tag }: Filter, signal: AbortSignal): Promise<Shelf> {
  const documents: Document[] = []
  for (;;) {
    const after = documents.at(-1)?.id ?? null
    const some = await list({ collection, source, tag, after, limit: A_REQUEST }, signal)
    documents.push(...some.documents)
    if (!some.has_more || documents.length >= MOST || some.documents.length === 0) {
      return { documents, total: some.total }
    }
  }
}

/** A value, once it has been the same for a while. */
export function useSettled<T>(value: T, ms: number): T {
  const [settled, setSettled] = useState(value)
  useEffect(() => {
    const timer = setTimeout(() => setSettled(value), ms)
    return () => clearTimeout(timer)
  }, [value, ms])
  return settled
}
