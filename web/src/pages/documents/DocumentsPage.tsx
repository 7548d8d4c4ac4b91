/** Collections, and one of them: its documents, uploads into it, questions to it. */
import { useCallback, useEffect } from 'react'
import { Redirect, useLocation, useRoute } from 'wouter'

import { collections } from '../../api/documents'
import { Notice } from '../../parts/Notice'
import { useLoaded } from '../../parts/useLoaded'
import { CollectionList } from './CollectionList'
import { CollectionView } from './CollectionView'

export function DocumentsPage() {
  const [, where] = useRoute('/documents/:collection/:document?')
  const [, go] = useLocation()
  const found = useLoaded(collections)
  const { reload, refresh } = found
  const id = where === null ? null : decoded(where.collection)
  const shown = found.value?.find((one) => one.id === id) ?? null
  useEffect(() => {
    document.title = shown === null ? 'Documents · Heliostat' : `${shown.name} · Documents · Heliostat`
  }, [shown])
  const removed = useCallback(() => {
    go('/documents')
    reload()
  }, [go, reload])

  if (found.value === null) {
    return (
      <main className="lonely">
        {found.error === null ? <p role="status">Loading …</p> : (
          <Notice error={found.error}>
            {found.error.status === 404 ? <p>This server has no embedder, so it keeps no documents.</p> : null}
          </Notice>
        )}
      </main>
    )
  }
  const first = found.value[0]
  if (id === null && first !== undefined) return <Redirect to={`/documents/${encodeURIComponent(first.id)}`} replace />
  return (
    <div className="documents">
      <CollectionList
        collections={found.value}
        shown={shown}
        onMade={(made) => {
          reload()
          go(`/documents/${encodeURIComponent(made.id)}`)
        }}
      />
      {shown === null ? (
        <main className="lonely">
          {found.loading ? <p role="status">Loading …</p> : (
            <>
              <h1>There is no such collection</h1>
              <p>It may have been removed. Choose another one.</p>
            </>
          )}
        </main>
      ) : (
        <CollectionView
          key={shown.id}
          collection={shown}
          document={where?.document === undefined ? null : decoded(where.document)}
          onChanged={reload}
          onStored={refresh}
          onRemoved={removed}
        />
      )}
    </div>
  )
}

function decoded(part: string): string {
  try {
    return decodeURIComponent(part)
  } catch {
    return part
  }
}
