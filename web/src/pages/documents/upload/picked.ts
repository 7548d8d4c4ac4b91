/** Files that somebody picked or dropped, folders with all that is in them. */

export interface Picked {
  file: File
  /** Its name, with the folders that it was in. */
  source: string
}

export interface Found {
  files: Picked[]
  /** Hidden files inside folders (.DS_Store and its kind), which nobody meant. */
  hidden: number
}

const HIDDEN = /(^|\/)\./

/** Of an `<input type="file">`; one that takes folders names each file's path. */
export function ofInput(list: FileList): Found {
  return without(Array.from(list, (file) => ({ file, source: file.webkitRelativePath || file.name })))
}

/** Of a drop. Must be called within the event: afterwards the browser has forgotten the entries. */
export function ofDrop(transfer: DataTransfer): Promise<Found> {
  const entries: FileSystemEntry[] = []
  const plain: Picked[] = []
  for (const item of transfer.items) {
    if (item.kind !== 'file') continue
    const entry = item.webkitGetAsEntry()
    const file = entry === null ? item.getAsFile() : null
    if (entry !== null) entries.push(entry)
    else if (file !== null) plain.push({ file, source: file.name })
  }
  return Promise.all(entries.map(walked)).then((found) => without([...plain, ...found.flat()]))
}

function without(files: Picked[]): Found {
  const seen = files.filter(({ source }) => !(source.includes('/') && HIDDEN.test(source)))
  return { files: seen, hidden: files.length - seen.length }
}

async function walked(entry: FileSystemEntry): Promise<Picked[]> {
  if (entry.isFile) {
    const file = await new Promise<File>((resolve, reject) => (entry as FileSystemFileEntry).file(resolve, reject))
    return [{ file, source: entry.fullPath.replace(/^\//, '') }]
  }
  const reader = (entry as FileSystemDirectoryEntry).createReader()
  const found: Picked[] = []
  for (;;) {
    // A browser gives a folder's entries by the hundred, until it gives none.
    const some = await new Promise<FileSystemEntry[]>((resolve, reject) => reader.readEntries(resolve, reject))
    if (some.length === 0) return found
    // One by one: a browser's stack has no room for a whole folder's files as arguments.
    for (const one of some) for (const picked of await walked(one)) found.push(picked)
  }
}
