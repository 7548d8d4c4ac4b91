/** Writes beside each built file of text what a server sends in its place to whoever takes it: `.br` and `.gz`. */
import { readdir, readFile, writeFile } from 'node:fs/promises'
import { promisify } from 'node:util'
import { brotliCompress, gzip } from 'node:zlib'

const FOLDER = new URL('dist/', import.meta.url)
const TEXT = /\.(js|css|html|svg|json|txt)$/
const LEAST_BYTES = 512
const WORTH = 0.95 // of its size: what saves less is sent as it is

async function compress(name) {
  const plain = await readFile(new URL(name, FOLDER))
  if (plain.length < LEAST_BYTES) return
  const made = { br: await promisify(brotliCompress)(plain), gz: await promisify(gzip)(plain, { level: 9 }) }
  for (const [suffix, bytes] of Object.entries(made)) {
    if (bytes.length < plain.length * WORTH) await writeFile(new URL(`${name}.${suffix}`, FOLDER), bytes)
  }
}

const files = await readdir(FOLDER, { recursive: true })
await Promise.all(files.filter((name) => TEXT.test(name)).map(compress))
