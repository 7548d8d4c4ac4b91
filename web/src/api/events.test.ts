import { expect, test, vi } from 'vitest'

import { EventParser, followed } from './events'

const STREAM = 'retry: 1000\n\nid: 7\nevent: progress\ndata: {"a":\ndata: 1}\n\n: ping\n\nid: 8\nevent: done\ndata: {}\n\n'

test('events are the same however the text is cut', () => {
  const whole = new EventParser().take(STREAM)
  expect(whole).toEqual([
    { id: '7', event: 'progress', data: '{"a":\n1}' },
    { id: '8', event: 'done', data: '{}' },
  ])
  for (let size = 1; size < 12; size += 1) {
    for (const text of [STREAM, STREAM.replaceAll('\n', '\r\n')]) {
      const parser = new EventParser()
      const found = []
      for (let at = 0; at < text.length; at += size) found.push(...parser.take(text.slice(at, at + size)))
      expect(found).toEqual(whole)
    }
  }
})

test('an event that is not whole yet is not told', () => {
  expect(new EventParser().take('id: 1\ndata: {}\n')).toEqual([])
})

test('a connection that opens and falls at once is tried less and less often', async () => {
  vi.useFakeTimers()
  let tried = 0
  vi.stubGlobal('fetch', () => {
    tried += 1
    return Promise.resolve(new Response('retry: 1000\n\n'))
  })
  const stop = new AbortController()
  const end = followed('/events', { last: ['done'], signal: stop.signal }).next().catch((error: Error) => error.name)
  await vi.advanceTimersByTimeAsync(60_000)
  vi.useRealTimers()
  stop.abort()
  expect(await end).toBe('AbortError')
  expect(tried).toBeGreaterThan(4)
  expect(tried).toBeLessThan(15)
})
