/** One document: what is known of it, its tags, its chunks. */
import { useCallback, useEffect, useState } from 'react'

import { type Chunk, chunks, type Document, remove, show } from '../../api/documents'
import { type ApiError, asApiError, isAbort } from '../../api/errors'
import { Confirm } from '../../parts/Confirm'
import { Dialog } from '../../parts/Dialog'
import { count, counted, date, kind } from '../../parts/format'
import { Notice } from '../../parts/Notice'
import { useLoaded } from '../../parts/useLoaded'
import { TagEditor } from './TagEditor'

interface DocumentDialogProps {
  id: string
  collection: string
  onClose: () => void
  onChanged: () => void
}

export function DocumentDialog({ id, collection, onClose, onChanged }: DocumentDialogProps) {
  const load = useCallback((signal: AbortSignal) => show(id, collection, signal), [id, collection])
  const { value, error, reload } = useLoaded(load)
  const [removing, setRemoving] = useState(false)
  return (
    <Dialog title={value?.source ?? 'Document'} className="drawer" onClose={onClose}>
      {error === null ? null : (
        <Notice error={error}>
          <button type="button" onClick={reload}>Try again</button>
        </Notice>
      )}
      {value === null ? (
        error === null ? <p role="status">Loading …</p> : null
      ) : (
        <>
          <Facts document={value} />
          <TagEditor
            document={value}
            collection={collection}
            onChanged={() => {
              reload()
              onChanged()
            }}
          />
          <Chunks document={value} collection={collection} />
          <footer className="dialog-foot">
            <button type="button" className="danger" onClick={() => setRemoving(true)}>Delete document</button>
          </footer>
        </>
      )}
      {removing ? (
        <Confirm
          title="Delete this document?"
          action="Delete document"
          onClose={() => setRemoving(false)}
          onConfirm={async () => {
            const { errors } = await remove([id], collection)
            if (errors[0] !== undefined) throw new Error(errors[0].error.message)
            onChanged()
            onClose()
          }}
        >
          <p>{value?.source} goes with its chunks, for good.</p>
        </Confirm>
      ) : null}
    </Dialog>
  )
}

function Facts({ document }: { document: Document }) {
  const metadata = Object.entries(document.metadata)
  return (
    <dl className="facts">
      <div><dt>State</dt><dd>Stored</dd></div>
      <div><dt>Type</dt><dd>{kind(document.media_type)}</dd></div>
      {document.pages === null ? null : <div><dt>Pages</dt><dd>{count(document.pages)}</dd></div>}
      <div><dt>Characters</dt><dd>{count(document.characters)}</dd></div>
      {document.created === 0 ? null : <div><dt>Added</dt><dd>{date(document.created)}</dd></div>}
      {metadata.map(([name, value]) => <div key={name}><dt>{name}</dt><dd>{String(value)}</dd></div>)}
      <div className="wide"><dt>SHA-256</dt><dd><code>{document.id}</code></dd></div>
    </dl>
  )
}

const A_REQUEST = 50

function Chunks({ document, collection }: { document: Document; collection: string }) {
  const [found, setFound] = useState<Chunk[]>([])
  const [wanted, setWanted] = useState(A_REQUEST)
  const [error, setError] = useState<ApiError | null>(null)
  const [round, setRound] = useState(0)
  useEffect(() => {
    const abortion = new AbortController()
    setError(null)
    const first = wanted - A_REQUEST
    chunks(document.id, collection, first, A_REQUEST, abortion.signal)
      .then((some) => setFound((before) => [...before.slice(0, first), ...some.chunks]))
      .catch((thrown: unknown) => {
        if (!isAbort(thrown)) setError(asApiError(thrown))
      })
    return () => abortion.abort()
  }, [document.id, collection, wanted, round])
  return (
    <section className="chunks" aria-labelledby="chunks">
      <h3 id="chunks">{counted(document.chunks, 'chunk')}</h3>
      {error === null ? null : (
        <Notice error={error}>
          <button type="button" onClick={() => setRound(round + 1)}>Try again</button>
        </Notice>
      )}
      {found.length === 0 && error === null ? <p role="status">Loading …</p> : null}
      <ol>
        {found.map((chunk) => (
          <li key={chunk.id}>
            <p className="meta">
              #{chunk.ordinal + 1}
              {chunk.page === null ? null : ` · page ${chunk.page}`}
              {chunk.heading === null ? null : ` · ${chunk.heading}`}
              {` · ${counted(chunk.tokens, 'token')} · characters ${count(chunk.start)}–${count(chunk.end)}`}
            </p>
            <p className="passage">{chunk.text}</p>
          </li>
        ))}
      </ol>
      {found.length < document.chunks && found.length >= wanted ? (
        <button type="button" onClick={() => setWanted(wanted + A_REQUEST)}>Show more</button>
      ) : null}
    </section>
  )
}
