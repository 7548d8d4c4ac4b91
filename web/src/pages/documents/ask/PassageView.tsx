/** A passage of a document, with its place there. */
import type { Passage } from '../../../api/rag'
import { count } from '../../../parts/format'
import { type Span, spanned } from './marks'

interface PassageViewProps {
  passage: Passage
  /** Within the passage's text. */
  marks: readonly Span[]
  onOpen: (id: string) => void
  id?: string
  faint?: boolean
}

export function PassageView({ passage, marks, onOpen, id, faint = false }: PassageViewProps) {
  return (
    <li id={id} className={faint ? 'faint-passage' : ''} tabIndex={-1}>
      <p className="meta">
        <span className="index">{passage.index}</span>
        <button type="button" className="link" onClick={() => onOpen(passage.document_id)}>{passage.source}</button>
        {passage.page === null ? null : <span>page {passage.page}</span>}
        {passage.heading === null ? null : <span>{passage.heading}</span>}
        <span>characters {count(passage.start)}–{count(passage.end)}</span>
        <span title="How probable it is that the passage is about what was asked">
          {Math.round(passage.confidence * 100)} %
        </span>
      </p>
      <p className="passage">
        {spanned(passage.text, marks).map(({ text, marked }, at) => (marked ? <mark key={at}>{text}</mark> : text))}
      </p>
    </li>
  )
}
