/** The collections, and how a new one is made. */
import { type FormEvent, useState } from 'react'
import { Link } from 'wouter'

import { type Collection, makeCollection } from '../../api/documents'
import { type ApiError, asApiError } from '../../api/errors'
import { Dialog } from '../../parts/Dialog'
import { count } from '../../parts/format'
import { Notice } from '../../parts/Notice'

interface CollectionListProps {
  collections: readonly Collection[]
  shown: Collection | null
  onMade: (made: Collection) => void
}

export function CollectionList({ collections, shown, onMade }: CollectionListProps) {
  const [making, setMaking] = useState(false)
  return (
    <aside className="collections">
      <div className="aside-head">
        <h2 id="collections">Collections</h2>
        <button type="button" className="quiet" onClick={() => setMaking(true)}>New</button>
      </div>
      <nav aria-labelledby="collections">
        <ul>
          {collections.map((one) => (
            <li key={one.id}>
              <Link
                href={`/documents/${encodeURIComponent(one.id)}`}
                aria-current={one.id === shown?.id ? 'page' : undefined}
                title={one.description ?? undefined}
              >
                <span className="name">{one.name}</span>
                {one.shared ? <span className="badge">shared</span> : null}
                <span className="number" aria-label={`${one.documents} documents`}>{count(one.documents)}</span>
              </Link>
            </li>
          ))}
        </ul>
      </nav>
      {making ? (
        <NewCollection
          onClose={() => setMaking(false)}
          onMade={(made) => {
            setMaking(false)
            onMade(made)
          }}
        />
      ) : null}
    </aside>
  )
}

function NewCollection({ onClose, onMade }: { onClose: () => void; onMade: (made: Collection) => void }) {
  const [error, setError] = useState<ApiError | null>(null)
  const [busy, setBusy] = useState(false)
  const submit = async (event: FormEvent<HTMLFormElement>) => {
    event.preventDefault()
    const form = new FormData(event.currentTarget)
    setBusy(true)
    try {
      onMade(await makeCollection(String(form.get('name')).trim(), String(form.get('description')).trim()))
    } catch (thrown) {
      setError(asApiError(thrown))
      setBusy(false)
    }
  }
  return (
    <Dialog title="New collection" className="small" onClose={onClose}>
      <form onSubmit={(event) => void submit(event)}>
        <div className="field">
          <label htmlFor="new-name">Name</label>
          <input
            id="new-name"
            name="name"
            required
            minLength={3}
            maxLength={128}
            autoComplete="off"
            spellCheck={false}
            data-first
          />
          <small>3 to 128 letters, digits, dots, dashes and underscores</small>
        </div>
        <div className="field">
          <label htmlFor="new-description">Description <small>(optional)</small></label>
          <input id="new-description" name="description" maxLength={1024} autoComplete="off" />
        </div>
        {error === null ? null : <Notice error={error} />}
        <footer className="dialog-foot">
          <button type="button" onClick={onClose}>Cancel</button>
          <button type="submit" className="primary" disabled={busy}>Create</button>
        </footer>
      </form>
    </Dialog>
  )
}
