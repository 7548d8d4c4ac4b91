/** The documents of a collection: filtered by the server, sorted and paged here. */
import { useEffect, useMemo, useState } from 'react'

import { type Document, remove } from '../../api/documents'
import { Confirm } from '../../parts/Confirm'
import { count, counted } from '../../parts/format'
import { Notice } from '../../parts/Notice'
import { Pager } from '../../parts/Pager'
import { DocumentHead, DocumentRow } from './DocumentRow'
import { type Order, sorted } from './order'
import { type Filter, useDocuments, useSettled, type Version } from './useDocuments'

interface DocumentTableProps {
  collection: string
  version: Version
  onOpen: (id: string) => void
  onChanged: () => void
}

const SHOWN = 50
const TYPED_MS = 250

export function DocumentTable({ collection, version, onOpen, onChanged }: DocumentTableProps) {
  const [typed, setTyped] = useState('')
  const [tag, setTag] = useState<string | null>(null)
  const filter: Filter = { source: useSettled(typed, TYPED_MS), tag }
  const { value, error, loading, reload } = useDocuments(collection, filter, version)
  const [chosen, setChosen] = useState<ReadonlySet<string>>(new Set())
  const filtered = filter.source !== '' || tag !== null
  const documents = value?.documents ?? NONE

  return (
    <section className="library" aria-labelledby="library">
      <div className="library-head">
        <h2 id="library">Documents</h2>
        <input
          type="search"
          aria-label="Filter by name"
          placeholder="Filter by name"
          value={typed}
          onChange={(event) => setTyped(event.target.value)}
        />
        {tag === null ? null : (
          <button type="button" className="tag on" aria-label={`Show all, not only ${tag}`} onClick={() => setTag(null)}>
            {tag} ✕
          </button>
        )}
        <span className="faint" role="status">{value !== null && filtered ? `${count(value.total)} fit` : ''}</span>
        <Removal
          marked={documents.filter(({ id }) => chosen.has(id))}
          collection={collection}
          onStayed={(ids) => setChosen(new Set(ids))}
          onChanged={onChanged}
        />
      </div>
      {error === null ? null : (
        <Notice error={error}>
          <button type="button" onClick={reload}>Try again</button>
        </Notice>
      )}
      {value !== null && documents.length < value.total ? (
        <p className="faint">Sorted among the newest {count(documents.length)}. Filter to see others.</p>
      ) : null}
      {value === null ? (
        error === null ? <p className="empty" role="status">Loading …</p> : null
      ) : documents.length === 0 ? (
        <p className="empty">{filtered ? 'No document fits.' : 'No documents yet. Drop or choose some files above.'}</p>
      ) : (
        <Table
          documents={documents}
          loading={loading}
          chosen={chosen}
          onChoose={setChosen}
          onOpen={onOpen}
          onTag={setTag}
        />
      )}
    </section>
  )
}

const NONE: readonly Document[] = []

interface TableProps {
  documents: readonly Document[]
  loading: boolean
  chosen: ReadonlySet<string>
  onChoose: (chosen: ReadonlySet<string>) => void
  onOpen: (id: string) => void
  onTag: (tag: string) => void
}

function Table({ documents, loading, chosen, onChoose, onOpen, onTag }: TableProps) {
  const [order, setOrder] = useState<Order>({ column: 'created', down: true })
  const [first, setFirst] = useState(0)
  useEffect(() => {
    setFirst(0)
  }, [order])
  const ordered = useMemo(() => sorted(documents, order), [documents, order])
  const from = Math.min(first, Math.max(0, Math.floor((ordered.length - 1) / SHOWN) * SHOWN))
  const page = ordered.slice(from, from + SHOWN)
  const choose = (ids: readonly string[], on: boolean) => {
    const others = [...chosen].filter((id) => !ids.includes(id))
    onChoose(new Set(on ? [...others, ...ids] : others))
  }
  return (
    <>
      <div className="table-wrap" aria-busy={loading}>
        <table>
          <DocumentHead
            order={order}
            onOrder={setOrder}
            all={page.length > 0 && page.every(({ id }) => chosen.has(id))}
            onAll={(on) => choose(page.map(({ id }) => id), on)}
          />
          <tbody data-testid="documents">
            {page.map((one) => (
              <DocumentRow
                key={one.id}
                document={one}
                chosen={chosen.has(one.id)}
                onChoose={(on) => choose([one.id], on)}
                onOpen={() => onOpen(one.id)}
                onTag={onTag}
              />
            ))}
          </tbody>
        </table>
      </div>
      <Pager first={from} shown={SHOWN} total={ordered.length} label="documents" onPage={setFirst} />
    </>
  )
}

interface RemovalProps {
  marked: readonly Document[]
  collection: string
  /** Told which could not be removed. */
  onStayed: (ids: string[]) => void
  onChanged: () => void
}

const NAMED = 5

function Removal({ marked, collection, onStayed, onChanged }: RemovalProps) {
  const [asked, setAsked] = useState<readonly Document[] | null>(null)
  const confirm = async (documents: readonly Document[]) => {
    const { errors } = await remove(documents.map(({ id }) => id), collection)
    onStayed(errors.map(({ id }) => id))
    onChanged()
    const [first] = errors
    if (first !== undefined) throw new Error(`${counted(errors.length, 'document')} stayed: ${first.error.message}`)
  }
  return (
    <>
      {marked.length === 0 ? null : (
        <button type="button" className="danger" onClick={() => setAsked(marked)}>
          Delete {counted(marked.length, 'document')}
        </button>
      )}
      {asked === null ? null : (
        <Confirm
          title={`Delete ${counted(asked.length, 'document')}?`}
          action="Delete"
          onClose={() => setAsked(null)}
          onConfirm={() => confirm(asked)}
        >
          <ul>{asked.slice(0, NAMED).map(({ id, source }) => <li key={id}>{source}</li>)}</ul>
          {asked.length > NAMED ? <p>and {count(asked.length - NAMED)} more</p> : null}
        </Confirm>
      )}
    </>
  )
}
