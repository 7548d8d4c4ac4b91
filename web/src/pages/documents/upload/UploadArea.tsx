/** Where files come in: dropped anywhere on the page, or picked. */
import { useCallback, useEffect, useRef, useState } from 'react'

import { type Found, ofDrop, ofInput } from './picked'
import { type OnStored, UploadProgress } from './UploadProgress'
import { forgetUpload, startUpload, useUpload } from './uploads'

export function UploadArea({ collection, onStored }: { collection: string; onStored: OnStored }) {
  const run = useUpload(collection)
  const [tags, setTags] = useState('')
  const [note, setNote] = useState<string | null>(null)
  const [busy, setBusy] = useState(false)

  const take = useCallback(
    (found: Found) => {
      setNote(found.hidden > 0 ? `Left out: hidden files in folders (${found.hidden}).` : null)
      if (found.files.length === 0) return setNote('There is no file in what you chose.')
      startUpload(collection, found.files, tagsIn(tags))
    },
    [collection, tags],
  )
  const running = run !== null && busy
  const over = useDrop((found) => (running ? setNote('Wait for the upload that runs, or stop it.') : take(found)), setNote)

  return (
    <section className="upload" aria-label="Upload">
      {run === null ? null : (
        <UploadProgress
          key={collection}
          run={run}
          onBusy={setBusy}
          onStored={onStored}
          onRetry={() => startUpload(collection, run.rest(), tagsIn(tags))}
          onClose={() => forgetUpload(collection)}
        />
      )}
      {running ? null : (
        <div className="dropzone">
          <p>
            <strong>Drop files or folders here</strong>
            <span className="faint"> · PDF, Word, HTML, Markdown, text, CSV, JSONL</span>
          </p>
          <div className="row">
            <Picker label="Choose files" folder={false} onFiles={take} />
            <Picker label="Choose a folder" folder onFiles={take} />
            <input
              className="tags-in"
              aria-label="Tags for these files"
              placeholder="Tags, divided by commas"
              value={tags}
              onChange={(event) => setTags(event.target.value)}
            />
          </div>
        </div>
      )}
      {note === null ? null : <p className="faint" role="status">{note}</p>}
      {over ? <div className="drop-here" aria-hidden="true"><p>Drop to upload</p></div> : null}
    </section>
  )
}

function Picker({ label, folder, onFiles }: { label: string; folder: boolean; onFiles: (found: Found) => void }) {
  const input = useRef<HTMLInputElement>(null)
  useEffect(() => {
    if (input.current !== null) input.current.webkitdirectory = folder
  }, [folder])
  return (
    <>
      <button type="button" onClick={() => input.current?.click()}>{label}</button>
      <input
        ref={input}
        type="file"
        multiple
        hidden
        data-testid={folder ? 'pick-folder' : 'pick-files'}
        onChange={(event) => {
          if (event.target.files !== null) onFiles(ofInput(event.target.files))
          event.target.value = '' // the same files may be chosen again
        }}
      />
    </>
  )
}

/** Files dropped anywhere on the page; whether some are held over it. */
function useDrop(onFiles: (found: Found) => void, onFailure: (text: string) => void): boolean {
  const [over, setOver] = useState(false)
  useEffect(() => {
    let depth = 0
    const withFiles = (event: DragEvent) => event.dataTransfer?.types.includes('Files') === true
    const enter = (event: DragEvent) => {
      if (!withFiles(event)) return
      depth += 1
      setOver(true)
    }
    const leave = (event: DragEvent) => {
      if (!withFiles(event)) return
      depth = Math.max(0, depth - 1)
      if (depth === 0) setOver(false)
    }
    const hold = (event: DragEvent) => {
      if (withFiles(event)) event.preventDefault()
    }
    const drop = (event: DragEvent) => {
      if (!withFiles(event) || event.dataTransfer === null) return
      event.preventDefault()
      depth = 0
      setOver(false)
      ofDrop(event.dataTransfer).then(onFiles, () => onFailure('What was dropped cannot be read.'))
    }
    const on = { dragenter: enter, dragleave: leave, dragover: hold, drop }
    for (const [name, listener] of Object.entries(on)) addEventListener(name, listener as EventListener)
    return () => {
      for (const [name, listener] of Object.entries(on)) removeEventListener(name, listener as EventListener)
    }
  }, [onFiles, onFailure])
  return over
}

export function tagsIn(text: string): string[] {
  return [...new Set(text.split(',').map((tag) => tag.trim()).filter((tag) => tag !== ''))]
}
