/** Which parts of a text are marked. Offsets are code points, as Python counts: an emoji is one. Pure. */

export interface Piece {
  text: string
  marked: boolean
}

export interface Span {
  start: number
  end: number
}

/** The text in pieces; spans may overlap, be out of order, or reach over its ends. */
export function spanned(text: string, spans: readonly Span[]): Piece[] {
  const points = Array.from(text)
  const on = new Uint8Array(points.length)
  for (const { start, end } of spans) on.fill(1, Math.max(0, start), Math.max(0, Math.min(points.length, end)))
  const pieces: Piece[] = []
  let from = 0
  for (let at = 1; at <= points.length; at += 1) {
    if (at < points.length && on[at] === on[from]) continue
    pieces.push({ text: points.slice(from, at).join(''), marked: on[from] === 1 })
    from = at
  }
  return pieces
}

const WORD = /[\p{L}\p{N}_]+/gu
const ENDINGS = /(?:ies|ing|ed|es|s|y|e)$/
const COMMON = new Set(
  (
    'a an and are as at be but by did do does for from how if in into is it its no not of on or such that the their ' +
    'then there these they this to was were what when where which who why will with'
  ).split(' '),
)

/** Where a text has the words of a query, endings aside. */
export function wordsOf(text: string, query: string): Span[] {
  const wanted = new Set(Array.from(query.matchAll(WORD), ([word]) => stem(word)).filter((word) => !COMMON.has(word)))
  const spans: Span[] = []
  let points = 0
  let seen = 0
  for (const found of text.matchAll(WORD)) {
    points += Array.from(text.slice(seen, found.index)).length
    seen = found.index
    if (wanted.has(stem(found[0]))) spans.push({ start: points, end: points + Array.from(found[0]).length })
  }
  return spans
}

function stem(word: string): string {
  const lower = word.toLowerCase()
  return lower.length > 4 ? lower.replace(ENDINGS, '') : lower
}
