/** The uploads of this tab, one a collection: they go on while another page is shown. */
import { useSyncExternalStore } from 'react'

import type { Picked } from './picked'
import { UploadRun } from './run'

const runs = new Map<string, UploadRun>()
const listeners = new Set<() => void>()

export function useUpload(collection: string): UploadRun | null {
  return useSyncExternalStore(watch, () => runs.get(collection) ?? null)
}

export function startUpload(collection: string, files: readonly Picked[], tags: readonly string[]): void {
  runs.set(collection, new UploadRun(files, collection, tags))
  tell()
}

export function forgetUpload(collection: string): void {
  runs.delete(collection)
  tell()
}

function watch(listener: () => void): () => void {
  listeners.add(listener)
  return () => listeners.delete(listener)
}

function tell(): void {
  for (const listener of listeners) listener()
}

// The files are only in this tab: to leave it ends what was not sent yet.
addEventListener('beforeunload', (event) => {
  if ([...runs.values()].some((run) => !run.snapshot().over)) event.preventDefault()
})
