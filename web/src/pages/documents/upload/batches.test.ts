import { expect, test } from 'vitest'

import { batches } from './batches'

const file = (source: string, size = 1) => ({ source, size })

test('files keep their order, and no request has more than its share', () => {
  const files = Array.from({ length: 70 }, (_, at) => file(`${at}.txt`))
  const made = batches(files)
  expect(made.map((batch) => batch.length)).toEqual([32, 32, 6])
  expect(made.flat()).toEqual(files)
})

test('a large file goes alone, and no file is left out for its size', () => {
  const made = batches([file('a', 3), file('huge', 100), file('b', 3), file('c', 3)], 10, 7)
  expect(made.map((batch) => batch.map(({ source }) => source))).toEqual([['a'], ['huge'], ['b', 'c']])
})

test('files of one name never go together', () => {
  expect(batches([file('a'), file('a'), file('b')]).map((batch) => batch.length)).toEqual([1, 2])
})

test('nothing makes no request', () => {
  expect(batches([])).toEqual([])
})
