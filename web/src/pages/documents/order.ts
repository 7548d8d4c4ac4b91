/** In which order documents are shown. Pure. */
import type { Document } from '../../api/documents'
import { kind } from '../../parts/format'

export type Column = 'source' | 'kind' | 'pages' | 'chunks' | 'characters' | 'created'

export interface Order {
  column: Column
  down: boolean
}

const names = new Intl.Collator('en', { numeric: true, sensitivity: 'base' })

/** A new list. Of documents that are alike the names decide, upwards. */
export function sorted(documents: readonly Document[], { column, down }: Order): Document[] {
  const sign = down ? -1 : 1
  return [...documents].sort((one, other) => sign * compared(one, other, column) || names.compare(one.source, other.source))
}

function compared(one: Document, other: Document, column: Column): number {
  if (column === 'source') return names.compare(one.source, other.source)
  if (column === 'kind') return names.compare(kind(one.media_type), kind(other.media_type))
  return (one[column] ?? 0) - (other[column] ?? 0)
}
