import { expect, test } from 'vitest'

import { Pacer } from './pace'

test('nothing is said before there is something to say', () => {
  const pacer = new Pacer()
  expect(pacer.pace(10)).toEqual({ rate: null, left: null })
  pacer.mark(0, 0)
  pacer.mark(3, 1_000)
  expect(pacer.pace(10)).toEqual({ rate: null, left: null })
})

test('the rate is that of the last seconds, and tells how long the rest takes', () => {
  const pacer = new Pacer()
  for (let at = 0; at <= 60; at += 1) pacer.mark(at < 30 ? 0 : (at - 30) * 2, at * 1_000)
  const { rate, left } = pacer.pace(100)
  expect(rate).toBeCloseTo(2)
  expect(left).toBeCloseTo(20)
})

test('where nothing moves there is no end in sight', () => {
  const pacer = new Pacer()
  pacer.mark(1, 0)
  pacer.mark(1, 5_000)
  expect(pacer.pace(10)).toEqual({ rate: 0, left: null })
})
