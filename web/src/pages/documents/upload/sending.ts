/** One request with files. */
import { errorOf, unreachable } from '../../../api/errors'
import { DOCUMENTS } from '../../../api/documents'
import { authorization, renew } from '../../../api/session'
import { BYTES_A_REQUEST } from './batches'
import type { Picked } from './picked'

export interface Accepted {
  job_id: string
  events_url: string
}

/**
 * Send files, and have the server store them in the background. sent: told of the bytes on their way, which `fetch`
 * cannot tell. Throws an ApiError, and an AbortError where the signal comes before it began, or while a large file
 * is on its way. A small request that is under way is waited for: the server may have all of it, which nobody here
 * can know, and would store it whether it is counted or not.
 */
export async function post(
  files: readonly Picked[],
  collection: string,
  tags: readonly string[],
  sent: (bytes: number) => void,
  signal: AbortSignal,
): Promise<Accepted> {
  const form = new FormData()
  for (const { file } of files) form.append('files', file, file.name)
  form.append('sources', JSON.stringify(files.map(({ source }) => source)))
  form.append('collection', collection)
  for (const tag of tags) form.append('tags', tag)
  form.append('wait', 'false')
  const size = files.reduce((sum, { file }) => sum + file.size, 0)
  const once = async () => attempt(form, await authorization(), sent, signal, size > BYTES_A_REQUEST)
  let answer = await once()
  if (answer.status === 401 && (await renew())) answer = await once()
  if (answer.status >= 200 && answer.status < 300) return JSON.parse(answer.text) as Accepted
  throw errorOf(answer.status, answer.text, answer.retryAfter)
}

interface Plain {
  status: number
  text: string
  retryAfter: string | null
}

function attempt(
  form: FormData,
  headers: Record<string, string>,
  sent: (bytes: number) => void,
  signal: AbortSignal,
  cut: boolean,
): Promise<Plain> {
  return new Promise((resolve, reject) => {
    const aborted = () => new DOMException('aborted', 'AbortError')
    if (signal.aborted) return reject(aborted())
    const request = new XMLHttpRequest()
    const abort = () => request.abort()
    const goOn = () => signal.removeEventListener('abort', abort)
    if (cut) signal.addEventListener('abort', abort, { once: true })
    request.open('POST', DOCUMENTS)
    for (const [name, value] of Object.entries(headers)) request.setRequestHeader(name, value)
    request.upload.onprogress = (event) => sent(event.loaded)
    request.upload.onload = goOn
    request.onload = () =>
      resolve({
        status: request.status,
        text: request.responseText,
        retryAfter: request.getResponseHeader('retry-after'),
      })
    request.onerror = () => reject(unreachable())
    request.onabort = () => reject(aborted())
    request.onloadend = goOn
    request.send(form)
  })
}
