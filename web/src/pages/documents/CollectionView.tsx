/** One collection. */
import { useCallback, useEffect, useState } from 'react'
import { useLocation } from 'wouter'

import { type Collection, removeCollection } from '../../api/documents'
import { Confirm } from '../../parts/Confirm'
import { counted } from '../../parts/format'
import { AskBox } from './ask/AskBox'
import { DocumentDialog } from './DocumentDialog'
import { DocumentTable } from './DocumentTable'
import type { Version } from './useDocuments'
import { UploadArea } from './upload/UploadArea'

interface CollectionViewProps {
  collection: Collection
  /** The id of the document whose dialog is open. */
  document: string | null
  /** Somebody changed something here, and waits to see it. */
  onChanged: () => void
  /** Documents came in. */
  onStored: () => void
  onRemoved: () => void
}

export function CollectionView({ collection, document, onChanged, onStored, onRemoved }: CollectionViewProps) {
  const [, go] = useLocation()
  const [removing, setRemoving] = useState(false)
  const [version, setVersion] = useState<Version>({ number: 0, waited: false })
  const here = `/documents/${encodeURIComponent(collection.id)}`
  const changed = useCallback(() => {
    setVersion(({ number }) => ({ number: number + 1, waited: true }))
    onChanged()
  }, [onChanged])
  const stored = useCallback(
    (over: boolean) => {
      if (over) return changed()
      setVersion(({ number }) => ({ number: number + 1, waited: false }))
      onStored()
    },
    [changed, onStored],
  )
  const open = useCallback((id: string) => go(`${here}/${encodeURIComponent(id)}`), [go, here])
  const close = useCallback(() => go(here), [go, here])
  useEffect(() => {
    window.scrollTo({ top: 0 })
  }, [collection.id])

  return (
    <main className="collection">
      <header className="page-head">
        <div>
          <h1>{collection.name}</h1>
          <p className="meta" data-testid="collection-meta">
            {counted(collection.documents, 'document')} · {counted(collection.chunks, 'chunk')}
            {collection.embedder === null ? null : ` · ${collection.embedder.model}`}
            {collection.shared ? ' · shared by all' : null}
          </p>
          {collection.description === null ? null : <p className="description">{collection.description}</p>}
        </div>
        <button type="button" className="quiet danger" onClick={() => setRemoving(true)}>Delete collection</button>
      </header>
      <AskBox collection={collection.id} onOpen={open} />
      <UploadArea collection={collection.id} onStored={stored} />
      <DocumentTable collection={collection.id} version={version} onOpen={open} onChanged={changed} />
      {document === null ? null : (
        <DocumentDialog key={document} id={document} collection={collection.id} onClose={close} onChanged={changed} />
      )}
      {removing ? (
        <Confirm
          title={`Delete ${collection.name}?`}
          action="Delete collection"
          onClose={() => setRemoving(false)}
          onConfirm={async () => {
            await removeCollection(collection.id)
            onRemoved()
          }}
        >
          <p>The collection goes with {counted(collection.documents, 'document')}, for good.</p>
        </Confirm>
      ) : null}
    </main>
  )
}
