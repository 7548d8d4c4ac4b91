/** An upload, live: how far it is in all, and each of its files. */
import { useEffect, useMemo, useRef, useState, useSyncExternalStore } from 'react'

import { bytes, count, counted, duration } from '../../../parts/format'
import { Pager } from '../../../parts/Pager'
import { sentence } from '../../../parts/Notice'
import type { Item, ItemState, Snapshot, UploadRun } from './run'

/** Told when documents came in. over: no more will. */
export type OnStored = (over: boolean) => void

interface UploadProgressProps {
  run: UploadRun
  onBusy: (busy: boolean) => void
  onStored: OnStored
  onRetry: () => void
  onClose: () => void
}

const SHOWN = 12

export function UploadProgress({ run, onBusy, onStored, onRetry, onClose }: UploadProgressProps) {
  const now = useSyncExternalStore(run.subscribe, run.snapshot)
  useEffect(() => {
    onBusy(!now.over)
  }, [now.over, onBusy])
  useRefreshed(now, onStored)
  const left = now.failed + now.aborted
  return (
    <div className="progress" data-testid="upload" data-over={now.over}>
      <div className="progress-head">
        <h2>{headline(now)}</h2>
        {now.over ? (
          <div className="row">
            {left > 0 ? <button type="button" onClick={onRetry}>Try {counted(left, 'file')} again</button> : null}
            <button type="button" className="quiet" onClick={onClose}>Dismiss</button>
          </div>
        ) : (
          <button type="button" onClick={run.abort} disabled={now.aborted > 0}>Stop</button>
        )}
      </div>
      <Bar now={now} />
      <p className="figures">
        <span data-testid="done">{count(now.done)} of {counted(now.total, 'file')}</span>
        <span>{counted(now.chunks, 'chunk')}</span>
        <span>{bytes(now.bytesSent)} of {bytes(now.bytes)} sent</span>
        {now.over ? <span>{duration(now.seconds)}</span> : <Pace now={now} />}
      </p>
      <p className="visually-hidden" role="status" aria-live="polite">{spoken(now)}</p>
      {now.connected ? null : (
        <p className="warning" role="status" data-testid="reconnecting">The connection is lost. Trying again …</p>
      )}
      {now.aborted > 0 && !now.over ? (
        <p className="faint">What the server already has is still being stored.</p>
      ) : null}
      <Files run={run} now={now} />
    </div>
  )
}

function Bar({ now }: { now: Snapshot }) {
  const part = (value: number) => ({ width: `${now.total === 0 ? 0 : (value * 100) / now.total}%` })
  return (
    <div
      className="bar"
      role="progressbar"
      aria-label="Files done"
      aria-valuemin={0}
      aria-valuemax={now.total}
      aria-valuenow={now.done}
    >
      <span className="stored" style={part(now.stored)} />
      <span className="failed" style={part(now.failed + now.aborted)} />
    </div>
  )
}

function Pace({ now }: { now: Snapshot }) {
  const { rate, left } = now.pace
  if (rate === null) return null
  return (
    <>
      <span>{rate >= 10 ? Math.round(rate) : rate.toFixed(1)} files/s</span>
      {left === null ? null : <span>{duration(left)} left</span>}
    </>
  )
}

const FILTERS = ['all', 'failed', 'stored', 'open'] as const
type Filter = (typeof FILTERS)[number]

const STATES: Record<ItemState, string> = {
  waiting: 'Waiting',
  sending: 'Sending',
  storing: 'Storing',
  stored: 'Stored',
  failed: 'Failed',
  aborted: 'Not sent',
}
/** What moves is on top, then what needs somebody, then the rest. */
const RANK: Record<ItemState, number> = { sending: 0, storing: 0, failed: 1, aborted: 2, waiting: 3, stored: 4 }

function Files({ run, now }: { run: UploadRun; now: Snapshot }) {
  const [chosen, setChosen] = useState<Filter | null>(null)
  const [page, setPage] = useState(0)
  const filter: Filter = chosen ?? (now.over && now.failed > 0 ? 'failed' : 'all')
  const shown = useMemo(() => {
    const fit = run.items.filter(({ state }) => fits(state, filter))
    return fit.sort((one, other) => RANK[one.state] - RANK[other.state] || one.id - other.id)
  }, [run, filter, now.version])
  const numbers: Record<Filter, number> = {
    all: now.total,
    failed: now.failed + now.aborted,
    stored: now.stored,
    open: now.total - now.done,
  }
  const first = Math.min(page, Math.max(0, Math.ceil(shown.length / SHOWN) - 1)) * SHOWN
  return (
    <div className="files">
      <div className="segments" role="group" aria-label="Which files">
        {FILTERS.map((one) => (
          <button
            key={one}
            type="button"
            aria-pressed={filter === one}
            onClick={() => {
              setChosen(one)
              setPage(0)
            }}
          >
            {NAMES[one]} <span className="number">{count(numbers[one])}</span>
          </button>
        ))}
      </div>
      <ul data-testid="upload-files">
        {shown.slice(first, first + SHOWN).map((item) => <File key={item.id} item={item} state={item.state} />)}
      </ul>
      <Pager first={first} shown={SHOWN} total={shown.length} label="files" onPage={(at) => setPage(at / SHOWN)} />
    </div>
  )
}

const NAMES: Record<Filter, string> = { all: 'All', failed: 'Not stored', stored: 'Stored', open: 'Under way' }

function fits(state: ItemState, filter: Filter): boolean {
  if (filter === 'failed') return state === 'failed' || state === 'aborted'
  if (filter === 'stored') return state === 'stored'
  if (filter === 'open') return state === 'waiting' || state === 'sending' || state === 'storing'
  return true
}

function File({ item, state }: { item: Item; state: ItemState }) {
  return (
    <li className="file" data-state={state}>
      <span className={`state ${state}`}>{STATES[state]}</span>
      <span className="file-name" title={item.source}>{item.source}</span>
      <span className="number">{bytes(item.size)}</span>
      {item.problem === null ? null : (
        <p className="problem">
          {sentence(without(item.source, item.problem.message))} {item.problem.hint === null ? null : sentence(item.problem.hint)}{' '}
          <code>{item.problem.code}</code>
        </p>
      )}
    </li>
  )
}

/** A message without the file's name before it, which stands above it. */
function without(source: string, message: string): string {
  return message.startsWith(`${source}: `) ? message.slice(source.length + 2) : message
}

function headline(now: Snapshot): string {
  if (!now.over) return now.aborted > 0 ? 'Stopping' : 'Uploading'
  if (now.failed + now.aborted === 0) return `${counted(now.stored, 'file')} stored`
  const parts = [`${count(now.stored)} stored`]
  if (now.failed > 0) parts.push(`${count(now.failed)} failed`)
  if (now.aborted > 0) parts.push(`${count(now.aborted)} not sent`)
  return parts.join(', ')
}

/** For screen readers: a word each tenth, not each file. */
function spoken(now: Snapshot): string {
  if (now.over) return `Upload ended: ${headline(now)}.`
  const tenth = now.total === 0 ? 0 : Math.floor((now.done * 10) / now.total) * 10
  return `Uploading ${counted(now.total, 'file')}: ${tenth} per cent.`
}

/** Tell the page as documents come in, and at the end. What was there before this was shown, it has loaded itself. */
function useRefreshed({ stored, over }: Snapshot, onStored: OnStored): void {
  const told = useRef({ stored, over })
  useEffect(() => {
    const before = told.current
    told.current = { stored, over }
    if (stored !== before.stored || over !== before.over) onStored(over)
  }, [stored, over, onStored])
}
