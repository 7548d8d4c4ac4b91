import { beforeEach, expect, test, vi } from 'vitest'

import { hasCredentials, renew, signIn, signOut } from './session'

const kept = new Map<string, string>()
vi.stubGlobal('sessionStorage', {
  getItem: (name: string) => kept.get(name) ?? null,
  setItem: (name: string, value: string) => kept.set(name, value),
  removeItem: (name: string) => kept.delete(name),
})

const tokens = (seconds: number) =>
  new Response(JSON.stringify({ access_token: 'a', refresh_token: 'r', expires_in: seconds }))

async function signedIn(seconds: number): Promise<void> {
  vi.stubGlobal('fetch', () => Promise.resolve(tokens(seconds)))
  await signIn('ann', 'secret')
  expect(hasCredentials()).toBe(true)
}

beforeEach(() => kept.clear())

test('who signs out while the server is away is signed out', async () => {
  await signedIn(1)
  vi.stubGlobal('fetch', () => Promise.reject(new TypeError('offline')))
  await signOut()
  expect([hasCredentials(), kept.size]).toEqual([false, 0])
})

test('tokens that come after the sign-out sign nobody in again', async () => {
  await signedIn(3600)
  let answer = (_: Response) => {}
  const late = new Promise<Response>((resolve) => {
    answer = resolve
  })
  const fetched = vi.fn((path: string) => (path.endsWith('/refresh') ? late : Promise.resolve(new Response())))
  vi.stubGlobal('fetch', fetched)
  const renewed = renew()
  await vi.waitFor(() => expect(fetched).toHaveBeenCalledOnce())
  await signOut()
  answer(tokens(3600))
  expect(await renewed).toBe(false)
  expect([hasCredentials(), kept.size]).toEqual([false, 0])
})
