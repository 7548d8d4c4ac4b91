/** Which file of a request a job's words are about. Pure. */
import type { Failure, Job } from '../../../api/documents'

export interface Sent {
  source: string
  /** SHA-256 in hex, which is the id that its document gets; null where the page cannot compute it. */
  digest: string | null
}

export type Outcome = { state: 'stored' } | { state: 'failed'; failure: Failure }

/**
 * What a job says of its files so far, in their order; null is not known yet. At its end every file has an outcome:
 * the job accounts for all of them, under names that the server may have cleaned.
 */
export function outcomes(files: readonly Sent[], job: Job): (Outcome | null)[] {
  const found: (Outcome | null)[] = files.map(() => null)
  const over = job.state === 'done' || job.state === 'failed'
  const unmatched = job.failed.filter((failure) => {
    const at = files.findIndex(({ source }, place) => found[place] === null && source === failure.source)
    if (at < 0) return true
    found[at] = { state: 'failed', failure }
    return false
  })
  const stored = new Set(job.documents)
  files.forEach(({ digest }, at) => {
    if (digest !== null && stored.has(digest)) found[at] ??= { state: 'stored' }
  })
  if (!over) return found
  for (const failure of unmatched) {
    const like = files.findIndex(({ source }, at) => found[at] === null && alike(source, failure.source))
    const at = like >= 0 ? like : found.indexOf(null)
    if (at >= 0) found[at] = { state: 'failed', failure }
  }
  const lost: Outcome | null =
    job.state === 'failed'
      ? {
          state: 'failed',
          failure: {
            source: '',
            code: 'upload_failed',
            message: job.reason ?? 'The upload ended early',
            hint: 'try it again',
          },
        }
      : null
  return found.map((outcome) => outcome ?? lost ?? { state: 'stored' })
}

/** Whether two names differ only in what the server takes out: folders that say nothing, invisible characters. */
function alike(sent: string, told: string): boolean {
  return plain(sent) === plain(told)
}

function plain(source: string): string {
  const visible = source.normalize('NFC').replace(/[\p{C}\s]/gu, '')
  return visible
    .split(/[/\\]/)
    .filter((part) => part !== '' && part !== '.')
    .join('/')
}
