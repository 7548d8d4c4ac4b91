/** Search a collection, or ask it. */
import { type FormEvent, useState } from 'react'

import { Notice } from '../../../parts/Notice'
import { AnswerView } from './AnswerView'
import { wordsOf } from './marks'
import { PassageView } from './PassageView'
import { type Result, useAsking, type Way } from './useAsking'

export function AskBox({ collection, onOpen }: { collection: string; onOpen: (id: string) => void }) {
  const [way, setWay] = useState<Way>('search')
  const [typed, setTyped] = useState('')
  const { result, error, busy, run, stop, clear } = useAsking(collection)
  const begin = (chosen: Way) => {
    setWay(chosen)
    if (typed.trim() !== '') void run(chosen, typed.trim())
  }
  const submit = (event: FormEvent) => {
    event.preventDefault()
    begin(way)
  }
  return (
    <section className="ask" aria-label="Search and ask">
      <form role="search" onSubmit={submit}>
        <input
          type="search"
          aria-label="Search the documents, or ask them"
          placeholder={way === 'search' ? 'Search the documents' : 'Ask the documents'}
          maxLength={8192}
          value={typed}
          onChange={(event) => setTyped(event.target.value)}
        />
        <button type="button" className={way === 'search' ? 'primary' : ''} onClick={() => begin('search')}>Search</button>
        <button type="button" className={way === 'ask' ? 'primary' : ''} onClick={() => begin('ask')}>Ask</button>
      </form>
      {error === null ? null : <Notice error={error} />}
      {result === null && !busy ? null : (
        <div className="result" aria-busy={busy}>
          <div className="result-head">
            <p className="faint" role="status">{headline(result, busy)}</p>
            <button
              type="button"
              className="quiet"
              onClick={() => {
                if (busy) return stop()
                clear()
                setTyped('')
              }}
            >
              {busy ? 'Stop' : 'Clear'}
            </button>
          </div>
          {result === null ? null : <ResultView result={result} onOpen={onOpen} />}
        </div>
      )}
    </section>
  )
}

function ResultView({ result, onOpen }: { result: Result; onOpen: (id: string) => void }) {
  if (result.kind === 'answer') return <AnswerView text={result.text} answer={result.answer} onOpen={onOpen} />
  return (
    <ol className="passages" data-testid="passages">
      {result.passages.map((one) => (
        <PassageView key={one.index} passage={one} marks={wordsOf(one.text, result.query)} onOpen={onOpen} />
      ))}
    </ol>
  )
}

function headline(result: Result | null, busy: boolean): string {
  if (busy) return result?.kind === 'answer' && result.text !== '' ? 'Answering …' : 'Looking …'
  if (result?.kind === 'passages') {
    const found = result.passages.length
    return found === 0 ? 'Nothing was found.' : `${found === 1 ? 'The best passage' : `The ${found} best passages`} for “${result.query}”`
  }
  return result === null ? '' : `Answer to “${result.query}”`
}
