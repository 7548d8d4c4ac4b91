/** Asks before something is gone for good. */
import { type ReactNode, useState } from 'react'

import { type ApiError, asApiError } from '../api/errors'
import { Dialog } from './Dialog'
import { Notice } from './Notice'

interface ConfirmProps {
  title: string
  action: string
  children: ReactNode
  onConfirm: () => Promise<void>
  onClose: () => void
}

export function Confirm({ title, action, children, onConfirm, onClose }: ConfirmProps) {
  const [busy, setBusy] = useState(false)
  const [error, setError] = useState<ApiError | null>(null)
  const confirm = async () => {
    setBusy(true)
    setError(null)
    try {
      await onConfirm()
      onClose()
    } catch (thrown) {
      setError(asApiError(thrown))
      setBusy(false)
    }
  }
  return (
    <Dialog title={title} className="small" onClose={onClose}>
      <div className="prose">{children}</div>
      {error === null ? null : <Notice error={error} />}
      <footer className="dialog-foot">
        <button type="button" onClick={onClose} data-first>Cancel</button>
        <button type="button" className="danger" disabled={busy} onClick={() => void confirm()}>{action}</button>
      </footer>
    </Dialog>
  )
}
