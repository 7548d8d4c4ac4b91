import { expect, test } from 'vitest'

import { spanned, wordsOf } from './marks'

const marked = (text: string, query: string) =>
  spanned(text, wordsOf(text, query)).filter((piece) => piece.marked).map((piece) => piece.text)

test('spans count code points, as the server does', () => {
  expect(spanned('☀️🔥 fire', [{ start: 2, end: 3 }])).toEqual([
    { text: '☀️', marked: false },
    { text: '🔥', marked: true },
    { text: ' fire', marked: false },
  ])
})

test('spans that overlap or reach over the ends leave the text whole', () => {
  const pieces = spanned('abcdef', [{ start: 3, end: 99 }, { start: -4, end: 1 }, { start: 2, end: 4 }])
  expect(pieces.map(({ text }) => text).join('')).toBe('abcdef')
  expect(pieces.filter((piece) => piece.marked).map(({ text }) => text)).toEqual(['a', 'cdef'])
  expect(spanned('', [{ start: 0, end: 1 }])).toEqual([])
})

test('the words of a query are found whatever their endings, and common words are not', () => {
  expect(marked('The toll of the bridges is paid.', 'What is the toll of a bridge?')).toEqual(['toll', 'bridges'])
  expect(marked('🌉 Brücken und Zölle', 'brücken')).toEqual(['Brücken'])
})
