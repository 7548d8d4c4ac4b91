/** How files are shared out among requests. */

export interface Sized {
  source: string
  size: number
}

/** What one request takes at most: the gateway's limit is 100 files, and one file's size for the whole body. */
export const FILES_A_REQUEST = 32
export const BYTES_A_REQUEST = 4 * 1024 ** 2

/**
 * Files in order, a list a request. A larger file goes alone, and files of one name never go together: the server
 * tells failures by name.
 */
export function batches<T extends Sized>(files: readonly T[], most = FILES_A_REQUEST, bytes = BYTES_A_REQUEST): T[][] {
  const made: T[][] = []
  let batch: T[] = []
  let names = new Set<string>()
  let size = 0
  for (const file of files) {
    if (batch.length > 0 && (batch.length >= most || size + file.size > bytes || names.has(file.source))) {
      made.push(batch)
      batch = []
      names = new Set()
      size = 0
    }
    batch.push(file)
    names.add(file.source)
    size += file.size
  }
  if (batch.length > 0) made.push(batch)
  return made
}
