import { expect, test } from 'vitest'

import type { Job } from '../../../api/documents'
import { outcomes } from './matching'

const job = (fields: Partial<Job>): Job => ({
  job_id: 'upload-1',
  state: 'running',
  files: { done: 0, total: 2 },
  chunks: { done: 0, total: 0 },
  documents: [],
  failed: [],
  reason: null,
  ...fields,
})
const failure = (source: string) => ({ source, code: 'broken_document', message: 'No.', hint: null })
const states = (found: ReturnType<typeof outcomes>) => found.map((outcome) => outcome?.state ?? null)
const files = [
  { source: 'a.txt', digest: 'aa' },
  { source: 'b.txt', digest: 'bb' },
]

test('while a job runs, a file is known by its digest or by its failure', () => {
  expect(states(outcomes(files, job({})))).toEqual([null, null])
  expect(states(outcomes(files, job({ documents: ['bb'] })))).toEqual([null, 'stored'])
  expect(states(outcomes(files, job({ failed: [failure('a.txt')] })))).toEqual(['failed', null])
})

test('at the end every file has an outcome', () => {
  expect(states(outcomes(files, job({ state: 'done', failed: [failure('b.txt')] })))).toEqual(['stored', 'failed'])
})

test('a name that the server cleaned is found again', () => {
  const odd = [{ source: './x//a\u200b.txt', digest: null }, { source: 'b.txt', digest: null }]
  expect(states(outcomes(odd, job({ state: 'done', failed: [failure('x/a.txt')] })))).toEqual(['failed', 'stored'])
})

test('a failure under a name that nobody sent is not lost', () => {
  const found = outcomes(files, job({ state: 'done', documents: ['aa'], failed: [failure('?')] }))
  expect(states(found)).toEqual(['stored', 'failed'])
})

test('a job that ended early fails what it had not stored, and says why', () => {
  const [first, second] = outcomes(files, job({ state: 'failed', documents: ['aa'], reason: 'the gateway was stopped' }))
  expect(first).toEqual({ state: 'stored' })
  expect(second).toMatchObject({ state: 'failed', failure: { message: 'the gateway was stopped' } })
})
