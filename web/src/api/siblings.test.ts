import { afterEach, beforeEach, expect, test, vi } from 'vitest'

import { type Shared, Siblings, Turns } from './siblings'

/** A server whose refresh tokens are good once: a second use ends the session. */
class Server {
  good: string
  uses = 0
  ended = false
  away = false

  constructor(token: string) {
    this.good = token
  }

  async renew(token: string): Promise<string | null> {
    this.uses += 1
    await new Promise((resolve) => setTimeout(resolve, 40))
    if (this.away) throw new Error('away')
    if (this.ended || token !== this.good) {
      this.ended = true
      return null
    }
    this.good = `token-${this.uses}`
    return this.good
  }
}

interface Kept extends Shared {
  token: string
}

/** A tab: what a session does with its siblings. locks: as of a page that has them. */
class Tab {
  own: Kept | null = { session: 's', turn: 0, token: 'token-0' }
  readonly siblings: Siblings<Kept>

  constructor(
    private readonly server: Server,
    name: string,
    locks: LockManager | null = null,
  ) {
    const ears = {
      own: () => this.own,
      adopt: (newer: Kept) => {
        this.own = newer
      },
      leave: () => {
        this.own = null
      },
    }
    this.siblings = new Siblings<Kept>(ears, name, locks)
  }

  renew(): Promise<void> {
    return this.siblings.renewed(async () => {
      const before = this.own!
      const token = await this.server.renew(before.token)
      this.own = token === null ? null : { ...before, turn: before.turn + 1, token }
      if (this.own !== null) this.siblings.tell(this.own)
    })
  }
}

/** Locks as a browser has them, one after the other. */
function locks(): LockManager {
  let last: Promise<unknown> = Promise.resolve()
  const request = (_: string, work: () => Promise<void>) => (last = last.catch(() => undefined).then(work))
  return { request } as unknown as LockManager
}

let server: Server
let tabs: Tab[] = []

function open(count: number, shared: LockManager | null = null): Tab[] {
  tabs = Array.from({ length: count }, (_, at) => new Tab(server, `tab-${at}`, shared))
  return tabs
}

beforeEach(() => {
  server = new Server('token-0')
})
afterEach(() => {
  for (const { siblings } of tabs) siblings.close()
})

const settled = () => vi.waitFor(() => expect(new Set(tabs.map(({ own }) => own?.token)).size).toBe(1))

for (const [how, shared] of [
  ['by their names', null],
  ['by locks', locks()],
] as const) {
  test(`tabs that renew at the same moment use the token once, one after the other ${how}`, async () => {
    open(5, shared)
    await Promise.all(tabs.map((tab) => tab.renew()))
    await settled()
    expect([server.uses, server.ended, tabs[0]!.own?.turn]).toEqual([1, false, 1])
  })

  test(`tabs that renew shortly after each other use it once, one after the other ${how}`, async () => {
    open(4, shared)
    const all = tabs.toReversed().map(async (tab, at) => {
      await new Promise((resolve) => setTimeout(resolve, at * 60))
      await tab.renew()
    })
    await Promise.all(all)
    await settled()
    expect(server.ended).toBe(false)
    expect(server.good).toBe(tabs[0]!.own?.token)
  })
}

test('a tab that was away takes over what another has made, and asks the server for nothing', async () => {
  const [one] = open(1)
  await one!.renew()
  await one!.renew()
  const late = new Tab(server, 'late')
  tabs.push(late)
  await late.renew()
  expect([server.uses, server.ended, late.own?.turn]).toEqual([2, false, 2])
})

test('where one could not renew the next one does', async () => {
  const [one, other] = open(2)
  server.away = true
  await expect(one!.renew()).rejects.toThrow('away')
  server.away = false
  await other!.renew()
  await settled()
  expect([server.ended, one!.own?.turn]).toEqual([false, 1])
})

test('who signs out in one tab has left in all of that sign-in, and in no other', async () => {
  const [one, other, stranger] = open(3)
  stranger!.own = { session: 'another', turn: 0, token: 'x' }
  one!.own = null
  one!.siblings.left('s')
  await vi.waitFor(() => expect(other!.own).toBeNull())
  expect(stranger!.own.session).toBe('another')
})

test('a tab that is behind waits for others that are slow to answer', async () => {
  // As on a busy machine: what the first tab made arrives long after the second has the lock.
  const kept = new Map<string, string>()
  const storage = {
    getItem: (name: string) => kept.get(name) ?? null,
    setItem: (name: string, value: string) => kept.set(name, value),
    removeItem: (name: string) => kept.delete(name),
  } as unknown as Storage
  new Turns(storage).note({ session: 's', turn: 1 })
  const own: { now: Kept | null } = { now: { session: 's', turn: 0, token: 'token-0' } }
  const ears = { own: () => own.now, adopt: (newer: Kept) => (own.now = newer), leave: () => (own.now = null) }
  const slow = new Siblings<Kept>(ears, 'slow', locks(), new Turns(storage))
  const make = vi.fn(() => Promise.resolve())
  const waited = slow.renewed(make)
  const other = new BroadcastChannel('heliostat.session')
  setTimeout(() => {
    other.postMessage({ kind: 'now', session: 's', credentials: { session: 's', turn: 1, token: 'token-1' } })
  }, 600)
  await waited
  expect(make).not.toHaveBeenCalled()
  expect(own.now?.token).toBe('token-1')
  slow.left('s')
  expect(kept.size).toBe(0)
  slow.close()
  other.close()
})
