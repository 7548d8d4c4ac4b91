/** An answer from the documents: its words, whose words they are, and the passages it was made from. */
import { useId } from 'react'

import type { Answer, Citation } from '../../../api/rag'
import { counted } from '../../../parts/format'
import { spanned } from './marks'
import { PassageView } from './PassageView'

interface AnswerViewProps {
  text: string
  /** null while it is still being written. */
  answer: Answer | null
  onOpen: (id: string) => void
}

const MARKER = /(\[\d{1,3}(?:\s*,\s*\d{1,3})*\])/

export function AnswerView({ text, answer, onOpen }: AnswerViewProps) {
  const id = useId()
  if (answer === null) return <p className="answer writing" aria-live="polite">{text}</p>
  const quotes = answer.citations.flatMap((one) => one.quotes)
  const spans = quotes.map((quote) => ({ start: quote.answer_start, end: quote.answer_end }))
  return (
    <>
      <div className={answer.abstained ? 'answer abstained' : 'answer'} data-testid="answer">
        {answer.abstained ? <p className="badge">No answer in the documents</p> : null}
        <p>
          {spanned(answer.answer, spans).map((piece, at) =>
            piece.marked ? (
              <mark key={at}>{piece.text}</mark>
            ) : (
              <Marked key={at} text={piece.text} of={id} answer={answer} />
            ),
          )}
        </p>
        <p className="meta">{origin(answer)}</p>
        {answer.unverified_quotes.length === 0 ? null : (
          <p className="warning">
            No passage says: {answer.unverified_quotes.map((quote) => `“${quote}”`).join(', ')}
          </p>
        )}
      </div>
      <ol className="passages" data-testid="citations">
        {[...answer.citations].sort((one, other) => Number(other.cited) - Number(one.cited)).map((one) => (
          <PassageView
            key={one.index}
            id={`${id}-${one.index}`}
            passage={one}
            marks={marksIn(one)}
            faint={!one.cited}
            onOpen={onOpen}
          />
        ))}
      </ol>
    </>
  )
}

/** Text whose [1] lead to the passages. */
function Marked({ text, of, answer }: { text: string; of: string; answer: Answer }) {
  const known = new Set(answer.citations.map(({ index }) => index))
  return text.split(MARKER).map((piece, at) => {
    const numbers = at % 2 === 1 ? (piece.match(/\d+/g) ?? []).map(Number).filter((number) => known.has(number)) : []
    if (numbers.length === 0) return piece
    return numbers.map((number) => (
      <button
        key={`${at}-${number}`}
        type="button"
        className="citation"
        aria-label={`Passage ${number}`}
        onClick={() => {
          const passage = document.getElementById(`${of}-${number}`)
          passage?.scrollIntoView({ block: 'nearest' })
          passage?.focus()
        }}
      >
        {number}
      </button>
    ))
  })
}

function marksIn(citation: Citation) {
  return citation.quotes.map((quote) => ({ start: quote.start - citation.start, end: quote.end - citation.start }))
}

function origin(answer: Answer): string {
  const best = `best passage ${Math.round(answer.confidence * 100)} % likely to be about it`
  if (answer.usage.total_tokens === 0) return `No model was asked: ${best}.`
  return `${answer.model} · ${counted(answer.usage.completion_tokens, 'token')} · ${best}`
}
