import { afterEach, beforeEach, expect, test, vi } from 'vitest'

import { Refresher } from './refresher'

let hidden = false
let look = () => {}
const sight = {
  hidden: () => hidden,
  watch: (listener: () => void) => {
    look = listener
    return () => {
      look = () => {}
    }
  },
}

/** Counts loads, each of which takes so long. */
function loads(ms: number) {
  const told = { begun: 0, running: 0, most: 0 }
  const load = async () => {
    told.begun += 1
    told.running += 1
    told.most = Math.max(told.most, told.running)
    await new Promise((resolve) => setTimeout(resolve, ms))
    told.running -= 1
  }
  return { told, refresher: new Refresher(load, sight) }
}

async function changing(refresher: Refresher, forMs: number, everyMs = 100): Promise<void> {
  for (let at = 0; at < forMs; at += everyMs) {
    refresher.soon()
    await vi.advanceTimersByTimeAsync(everyMs)
  }
}

beforeEach(() => {
  hidden = false
  vi.useFakeTimers()
})
afterEach(() => vi.useRealTimers())

test('what changes all the time is loaded once in two seconds', async () => {
  const { told, refresher } = loads(50)
  await changing(refresher, 9900)
  expect(told.begun).toBe(5)
})

test('a slow load is never cut short, never doubled, and takes half of the time at most', async () => {
  const { told, refresher } = loads(5000)
  await changing(refresher, 29_000)
  expect(told).toMatchObject({ begun: 3, most: 1 })
})

test('what changed while it was loaded is loaded again', async () => {
  const { told, refresher } = loads(1000)
  refresher.soon()
  await vi.advanceTimersByTimeAsync(500)
  refresher.soon()
  await vi.advanceTimersByTimeAsync(10_000)
  expect(told.begun).toBe(2)
})

test('nothing is loaded that did not change', async () => {
  const { told, refresher } = loads(10)
  refresher.begin()
  await vi.advanceTimersByTimeAsync(60_000)
  expect(told.begun).toBe(1)
})

test('what somebody waits for does not wait for the next turn, but for the load that runs', async () => {
  const { told, refresher } = loads(1000)
  refresher.begin()
  await vi.advanceTimersByTimeAsync(100)
  refresher.now()
  await vi.advanceTimersByTimeAsync(800)
  expect(told).toMatchObject({ begun: 1, most: 1 })
  await vi.advanceTimersByTimeAsync(200)
  expect(told).toMatchObject({ begun: 2, most: 1 })
})

test('a hidden tab loads nothing, and what it missed when it is shown', async () => {
  const { told, refresher } = loads(10)
  hidden = true
  await changing(refresher, 10_000)
  refresher.now()
  await vi.advanceTimersByTimeAsync(1000)
  expect(told.begun).toBe(0)
  hidden = false
  look()
  await vi.advanceTimersByTimeAsync(1000)
  expect(told.begun).toBe(1)
})

test('a turn that comes while the tab is hidden is kept', async () => {
  const { told, refresher } = loads(10)
  refresher.begin()
  await vi.advanceTimersByTimeAsync(100)
  refresher.soon()
  hidden = true
  look()
  await vi.advanceTimersByTimeAsync(10_000)
  expect(told.begun).toBe(1)
  hidden = false
  look()
  await vi.advanceTimersByTimeAsync(10)
  expect(told.begun).toBe(2)
})

test('once stopped it loads nothing', async () => {
  const { told, refresher } = loads(10)
  refresher.stop()
  refresher.soon()
  refresher.now()
  await vi.advanceTimersByTimeAsync(10_000)
  expect(told.begun).toBe(0)
})
