/** A document's tags, shown and changed. */
import { type FormEvent, useState } from 'react'

import { annotate, type Document } from '../../api/documents'
import { type ApiError, asApiError } from '../../api/errors'
import { Notice } from '../../parts/Notice'
import { tagsIn } from './upload/UploadArea'

interface TagEditorProps {
  document: Document
  collection: string
  onChanged: () => void
}

export function TagEditor({ document, collection, onChanged }: TagEditorProps) {
  const [busy, setBusy] = useState(false)
  const [error, setError] = useState<ApiError | null>(null)
  const [typed, setTyped] = useState('')
  const change = async (tags: string[]) => {
    setBusy(true)
    setError(null)
    try {
      await annotate(document.id, collection, tags)
      setTyped('')
      onChanged()
    } catch (thrown) {
      setError(asApiError(thrown))
    } finally {
      setBusy(false)
    }
  }
  const add = (event: FormEvent) => {
    event.preventDefault()
    const tags = tagsIn(typed)
    if (tags.length > 0) void change([...new Set([...document.tags, ...tags])])
  }
  return (
    <section className="tags" aria-label="Tags" aria-busy={busy}>
      <ul>
        {document.tags.map((tag) => (
          <li key={tag}>
            <button
              type="button"
              className="tag on"
              aria-label={`Take the tag ${tag} away`}
              disabled={busy}
              onClick={() => void change(document.tags.filter((one) => one !== tag))}
            >
              {tag} ✕
            </button>
          </li>
        ))}
      </ul>
      <form onSubmit={add}>
        <input
          aria-label="New tag"
          placeholder="Add a tag"
          value={typed}
          onChange={(event) => setTyped(event.target.value)}
        />
        <button type="submit" disabled={busy || typed.trim() === ''}>Add</button>
      </form>
      {error === null ? null : <Notice error={error} />}
    </section>
  )
}
