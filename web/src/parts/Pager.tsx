/** Leafs through a long list. */
import { count } from './format'

interface PagerProps {
  /** The place of the first one shown, from 0. */
  first: number
  shown: number
  total: number
  label: string
  onPage: (first: number) => void
}

export function Pager({ first, shown, total, label, onPage }: PagerProps) {
  if (total <= shown) return null
  const last = Math.min(first + shown, total)
  return (
    <nav className="pager" aria-label={`Pages of ${label}`}>
      <button type="button" className="quiet" disabled={first === 0} onClick={() => onPage(Math.max(0, first - shown))}>
        ← Back
      </button>
      <span>{count(first + 1)} – {count(last)} of {count(total)}</span>
      <button type="button" className="quiet" disabled={last >= total} onClick={() => onPage(first + shown)}>
        Next →
      </button>
    </nav>
  )
}
