/** An error, as the server told it: what was wrong, and what would be right. */
import type { ReactNode } from 'react'

interface Told {
  code: string
  message: string
  hint: string | null
}

export function Notice({ error, children }: { error: Told; children?: ReactNode }) {
  return (
    <div className="notice" role="alert">
      <p>
        <strong>{sentence(error.message)}</strong> {error.hint === null ? null : <span>{sentence(error.hint)}</span>}
      </p>
      <code>{error.code}</code>
      {children}
    </div>
  )
}

/** With a capital letter, unless it begins with a name such as a file's or a setting's, and with a stop. */
export function sentence(text: string): string {
  const first = /^\p{Ll}+[ ,:]/u.test(text) ? text.slice(0, 1).toUpperCase() + text.slice(1) : text
  return /[.!?…]$/.test(first) ? first : `${first}.`
}
