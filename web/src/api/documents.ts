/** Documents and collections. */
import { ask } from './client'

export interface Collection {
  id: string
  name: string
  description: string | null
  shared: boolean
  documents: number
  chunks: number
  embedder: { model: string; dimensions: number } | null
  created: number | null
}

export interface Document {
  /** SHA-256 of its bytes, hex. */
  id: string
  source: string
  media_type: string
  chunks: number
  pages: number | null
  characters: number
  /** Unix seconds. */
  created: number
  tags: string[]
  metadata: Record<string, string | number | boolean>
}

export interface Chunk {
  id: string
  ordinal: number
  start: number
  end: number
  text: string
  tokens: number
  page: number | null
  heading: string | null
}

export interface Failure {
  source: string
  code: string
  message: string
  hint: string | null
}

/** How far an upload is. */
export interface Job {
  job_id: string
  state: 'queued' | 'running' | 'done' | 'failed'
  files: { done: number; total: number }
  chunks: { done: number; total: number }
  documents: string[]
  failed: Failure[]
  reason: string | null
}

const COLLECTIONS = '/api/v1/collections'
export const DOCUMENTS = '/api/v1/documents'

export async function collections(signal?: AbortSignal): Promise<Collection[]> {
  return (await ask<{ collections: Collection[] }>(COLLECTIONS, { signal })).collections
}

export function makeCollection(name: string, description: string): Promise<Collection> {
  const body = description === '' ? { name } : { name, description }
  return ask(COLLECTIONS, { method: 'POST', body })
}

export function removeCollection(id: string): Promise<void> {
  return ask(`${COLLECTIONS}/${encodeURIComponent(id)}`, { method: 'DELETE' })
}

export interface Listed {
  documents: Document[]
  total: number
  has_more: boolean
}

export interface Wanted {
  collection: string
  source: string
  tag: string | null
  after?: string | null
  limit: number
}

export function list({ collection, source, tag, after, limit }: Wanted, signal?: AbortSignal): Promise<Listed> {
  return ask(DOCUMENTS, { query: { collection, source, tag, after: after ?? null, limit }, signal })
}

export function show(id: string, collection: string, signal?: AbortSignal): Promise<Document> {
  return ask(`${DOCUMENTS}/${encodeURIComponent(id)}`, { query: { collection }, signal })
}

export function annotate(id: string, collection: string, tags: string[]): Promise<Document> {
  return ask(`${DOCUMENTS}/${encodeURIComponent(id)}`, { method: 'PATCH', query: { collection }, body: { tags } })
}

export interface Chunks {
  chunks: Chunk[]
  total: number
  has_more: boolean
}

export function chunks(id: string, collection: string, first: number, limit: number, signal?: AbortSignal): Promise<Chunks> {
  return ask(`${DOCUMENTS}/${encodeURIComponent(id)}/chunks`, { query: { collection, first, limit }, signal })
}

export interface Removed {
  deleted: Document[]
  errors: { id: string; error: { code: string; message: string; hint: string | null } }[]
}

const REMOVED_AT_ONCE = 100

/** Take documents out, a hundred a request. */
export async function remove(ids: readonly string[], collection: string): Promise<Removed> {
  const all: Removed = { deleted: [], errors: [] }
  for (let at = 0; at < ids.length; at += REMOVED_AT_ONCE) {
    const body = { ids: ids.slice(at, at + REMOVED_AT_ONCE), collection }
    const some = await ask<Removed>(`${DOCUMENTS}/delete`, { method: 'POST', body })
    all.deleted.push(...some.deleted)
    all.errors.push(...some.errors)
  }
  return all
}
