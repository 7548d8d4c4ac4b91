/** The head and the rows of the documents' table. */
import type { Document } from '../../api/documents'
import { count, date, kind } from '../../parts/format'
import type { Column, Order } from './order'

const COLUMNS: readonly { column: Column; name: string; numeric: boolean }[] = [
  { column: 'source', name: 'Name', numeric: false },
  { column: 'kind', name: 'Type', numeric: false },
  { column: 'pages', name: 'Pages', numeric: true },
  { column: 'chunks', name: 'Chunks', numeric: true },
  { column: 'characters', name: 'Characters', numeric: true },
  { column: 'created', name: 'Added', numeric: false },
]

interface DocumentHeadProps {
  order: Order
  onOrder: (order: Order) => void
  /** Whether all of the page are chosen. */
  all: boolean
  onAll: (on: boolean) => void
}

export function DocumentHead({ order, onOrder, all, onAll }: DocumentHeadProps) {
  return (
    <thead>
      <tr>
        <th className="check">
          <input
            type="checkbox"
            aria-label="Choose all on this page"
            checked={all}
            onChange={(event) => onAll(event.target.checked)}
          />
        </th>
        {COLUMNS.map(({ column, name, numeric }) => {
          const on = order.column === column
          return (
            <th
              key={column}
              className={`${column}${numeric ? ' numeric' : ''}`}
              aria-sort={on ? (order.down ? 'descending' : 'ascending') : 'none'}
            >
              <button
                type="button"
                onClick={() => onOrder({ column, down: on ? !order.down : numeric || column === 'created' })}
              >
                {name}
                <span aria-hidden="true">{on ? (order.down ? ' ↓' : ' ↑') : ''}</span>
              </button>
            </th>
          )
        })}
      </tr>
    </thead>
  )
}

interface DocumentRowProps {
  document: Document
  chosen: boolean
  onChoose: (on: boolean) => void
  onOpen: () => void
  onTag: (tag: string) => void
}

export function DocumentRow({ document, chosen, onChoose, onOpen, onTag }: DocumentRowProps) {
  return (
    <tr>
      <td className="check">
        <input
          type="checkbox"
          aria-label={`Choose ${document.source}`}
          checked={chosen}
          onChange={(event) => onChoose(event.target.checked)}
        />
      </td>
      <td className="source">
        <button type="button" className="link" onClick={onOpen}>{document.source}</button>
        {document.tags.map((tag) => (
          <button key={tag} type="button" className="tag" title={`Show only ${tag}`} onClick={() => onTag(tag)}>
            {tag}
          </button>
        ))}
      </td>
      <td className="kind">{kind(document.media_type)}</td>
      <td className="pages numeric">{document.pages === null ? '–' : count(document.pages)}</td>
      <td className="chunks numeric">{count(document.chunks)}</td>
      <td className="characters numeric">{count(document.characters)}</td>
      <td className="created">{document.created === 0 ? '–' : date(document.created)}</td>
    </tr>
  )
}
