/**
 * One upload of many files: several requests, a few at once, each followed to the end of its job. Its state is a
 * snapshot that React subscribes to.
 */
import { type Job } from '../../../api/documents'
import { ApiError, asApiError, isAbort } from '../../../api/errors'
import { followed, pause } from '../../../api/events'
import { batches } from './batches'
import { outcomes } from './matching'
import { type Pace, Pacer } from './pace'
import type { Picked } from './picked'
import { post } from './sending'

export type ItemState = 'waiting' | 'sending' | 'storing' | 'stored' | 'failed' | 'aborted'

export interface Problem {
  code: string
  message: string
  hint: string | null
}

export interface Item {
  readonly id: number
  readonly picked: Picked
  readonly source: string
  readonly size: number
  state: ItemState
  problem: Problem | null
}

export interface Snapshot {
  total: number
  stored: number
  failed: number
  aborted: number
  /** stored, failed and aborted. */
  done: number
  bytes: number
  bytesSent: number
  chunks: number
  pace: Pace
  over: boolean
  /** Whether the server can be heard: false while a connection is tried again. */
  connected: boolean
  seconds: number
  /** Changes whenever an item does. */
  version: number
}

const AT_ONCE = 3 // one request is stored while the next arrives; the CLI sends as many
const TRIES = 5
const LONGEST_WAIT_MS = 30_000
const TOLD_MS = 120 // between two snapshots: people see no more
const DIGESTED_BYTES = 32 * 1024 ** 2 // of a file: it is in memory whole for it

export class UploadRun {
  readonly items: Item[]
  private readonly abortion = new AbortController()
  private readonly pacer = new Pacer()
  private readonly listeners = new Set<() => void>()
  private readonly began = performance.now()
  private readonly sent = new Map<number, number>()
  private readonly chunks = new Map<number, number>()
  private readonly lost = new Set<number>()
  private timer: ReturnType<typeof setTimeout> | null = null
  private over = false
  private version = 0
  private now: Snapshot

  constructor(
    files: readonly Picked[],
    private readonly collection: string,
    private readonly tags: readonly string[],
  ) {
    this.items = files.map((picked, id) => ({
      id,
      picked,
      source: picked.source,
      size: picked.file.size,
      state: 'waiting',
      problem: null,
    }))
    this.now = this.counted()
    this.pacer.mark(0, this.began)
    void this.work()
  }

  readonly subscribe = (listener: () => void): (() => void) => {
    this.listeners.add(listener)
    return () => this.listeners.delete(listener)
  }

  readonly snapshot = (): Snapshot => this.now

  /** Send nothing more. What the server has already taken in is stored all the same, and followed. */
  readonly abort = (): void => {
    this.abortion.abort()
    for (const item of this.items) if (item.state === 'waiting') item.state = 'aborted'
    this.changed()
  }

  /** The files that were not stored, to send once more. */
  rest(): Picked[] {
    return this.items.filter(({ state }) => state === 'failed' || state === 'aborted').map(({ picked }) => picked)
  }

  private async work(): Promise<void> {
    const queue = batches(this.items).map((items, number) => ({ items, number }))
    const worker = async () => {
      for (let next = queue.shift(); next !== undefined; next = queue.shift()) {
        if (this.abortion.signal.aborted) return
        await this.one(next.items, next.number)
      }
    }
    await Promise.all(Array.from({ length: AT_ONCE }, worker))
    this.over = true
    this.tell()
  }

  private async one(items: Item[], number: number): Promise<void> {
    try {
      const digests = Promise.all(items.map(({ picked }) => digest(picked.file)))
      const job = await this.posted(items, number)
      this.set(items, 'storing')
      await this.follow(items, number, job, await digests)
    } catch (error) {
      const open = items.filter(({ state }) => state !== 'stored' && state !== 'failed')
      if (isAbort(error)) this.set(open, 'aborted')
      else this.fail(open, asApiError(error))
    } finally {
      this.lost.delete(number)
      this.sent.set(number, items.reduce((sum, { size }) => sum + size, 0))
    }
  }

  /** Sent again where no answer came, or the server asks for it: storing a file twice changes nothing. */
  private async posted(items: Item[], number: number): Promise<string> {
    const { signal } = this.abortion
    for (let tried = 1; ; tried += 1) {
      this.set(items, 'sending')
      try {
        const files = items.map(({ picked }) => picked)
        const sent = (bytes: number) => this.hear(this.sent, number, bytes)
        const accepted = await post(files, this.collection, this.tags, sent, signal)
        this.lost.delete(number)
        return accepted.events_url
      } catch (error) {
        if (!(error instanceof ApiError) || !error.retryable || tried >= TRIES) throw error
        if (error.status === 0) this.lost.add(number)
        this.changed()
        await pause(Math.min(LONGEST_WAIT_MS, (error.retryAfter ?? 2 ** (tried - 1)) * 1000), signal)
      }
    }
  }

  private async follow(items: Item[], number: number, url: string, digests: (string | null)[]): Promise<void> {
    const files = items.map(({ source }, at) => ({ source, digest: digests[at] ?? null }))
    const connected = (there: boolean) => {
      if (there) this.lost.delete(number)
      else this.lost.add(number)
      this.changed()
    }
    // An abort does not end it: the server stores what it has, and its end belongs to the account.
    const { signal } = new AbortController()
    for await (const event of followed(url, { last: ['done', 'failed'], signal, connected })) {
      const job = JSON.parse(event.data) as Job
      this.hear(this.chunks, number, job.chunks.done)
      outcomes(files, job).forEach((outcome, at) => {
        const item = items[at]!
        if (outcome === null || item.state === outcome.state) return
        item.state = outcome.state
        item.problem = outcome.state === 'failed' ? outcome.failure : null
      })
      this.changed()
    }
    const open = items.filter(({ state }) => state === 'storing')
    if (open.length > 0) throw new ApiError(0, 'unknown_end', 'The server has forgotten this upload', 'try it again')
  }

  private hear(where: Map<number, number>, number: number, value: number): void {
    where.set(number, value)
    this.changed()
  }

  private set(items: readonly Item[], state: ItemState): void {
    for (const item of items) item.state = state
    this.changed()
  }

  private fail(items: readonly Item[], { code, message, hint }: ApiError): void {
    for (const item of items) {
      item.state = 'failed'
      item.problem = { code, message, hint }
    }
    this.changed()
  }

  private changed(): void {
    this.timer ??= setTimeout(() => this.tell(), TOLD_MS)
  }

  private tell(): void {
    if (this.timer !== null) clearTimeout(this.timer)
    this.timer = null
    this.now = this.counted()
    for (const listener of this.listeners) listener()
  }

  private counted(): Snapshot {
    const counts = { stored: 0, failed: 0, aborted: 0 }
    let bytes = 0
    for (const { state, size } of this.items) {
      bytes += size
      if (state === 'stored' || state === 'failed' || state === 'aborted') counts[state] += 1
    }
    const at = performance.now()
    const done = counts.stored + counts.failed + counts.aborted
    this.pacer.mark(done, at)
    return {
      ...counts,
      done,
      total: this.items.length,
      bytes,
      bytesSent: Math.min(bytes, sum(this.sent)),
      chunks: sum(this.chunks),
      pace: this.pacer.pace(this.items.length),
      over: this.over,
      connected: this.lost.size === 0,
      seconds: (at - this.began) / 1000,
      version: (this.version += 1),
    }
  }
}

function sum(parts: Map<number, number>): number {
  let all = 0
  for (const part of parts.values()) all += part
  return all
}

/** null where the page is not from a secure origin, or the file is large: its state is then known a little later. */
async function digest(file: File): Promise<string | null> {
  if (globalThis.crypto?.subtle === undefined || file.size > DIGESTED_BYTES) return null
  try {
    const bytes = new Uint8Array(await crypto.subtle.digest('SHA-256', await file.arrayBuffer()))
    return Array.from(bytes, (byte) => byte.toString(16).padStart(2, '0')).join('')
  } catch {
    return null // it cannot be read, which the request will tell
  }
}
