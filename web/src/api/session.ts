/**
 * Who asks. With authentication off nobody is asked for anything; else a person's tokens or an API key, kept in
 * this tab's sessionStorage: the gateway has no cookie, so a page of another site has nothing to send along.
 */
import { errorOf, unreachable } from './errors'
import { randomName, type Shared, Siblings } from './siblings'

interface KeyCredentials {
  kind: 'key'
  key: string
}

interface PersonCredentials extends Shared {
  kind: 'person'
  access: string
  refresh: string
  /** Unix milliseconds. */
  ends: number
}

type Credentials = KeyCredentials | PersonCredentials

interface SignedIn {
  access_token: string
  refresh_token: string
  expires_in: number
}

const STORED = 'heliostat.session'
const EARLY_MS = 30_000

let credentials: Credentials | null = read()
let refreshing: Promise<void> | null = null
const heard = new Set<() => void>()
let refused = 0
const siblings = new Siblings<PersonCredentials>({
  own: () => (credentials?.kind === 'person' ? credentials : null),
  adopt: keep,
  leave: drop,
})

/** Counts how often credentials were refused or given up: who watches it knows that somebody must sign in. */
export function refusals(): number {
  return refused
}

export function watchRefusals(listener: () => void): () => void {
  heard.add(listener)
  return () => heard.delete(listener)
}

export function hasCredentials(): boolean {
  return credentials !== null
}

export function takeKey(key: string): void {
  keep({ kind: 'key', key: key.trim() })
}

/** Sign in as a person. Throws an ApiError. */
export async function signIn(email: string, password: string): Promise<void> {
  const told = await post('/api/v1/auth/login', { email, password })
  keep(person(told, { session: randomName(), turn: 0 }))
}

/** Forget the credentials here, and end a person's session at the server. */
export async function signOut(): Promise<void> {
  // A server that is away cannot end the session; it must not keep anybody signed in here.
  const headers = await authorization().catch((): Record<string, string> => ({}))
  const before = credentials
  drop()
  if (before?.kind !== 'person') return
  siblings.left(before.session)
  await fetch('/api/v1/auth/logout', { method: 'POST', headers }).catch(() => undefined)
}

/** The header of a request; a token that is about to end is made anew first. */
export async function authorization(): Promise<Record<string, string>> {
  if (credentials?.kind === 'person' && credentials.ends - EARLY_MS < Date.now()) await refresh()
  if (credentials === null) return {}
  return { authorization: `Bearer ${credentials.kind === 'key' ? credentials.key : credentials.access}` }
}

/** What was sent was refused. Resolves to whether new credentials are there to try once more with. */
export async function renew(): Promise<boolean> {
  if (credentials === null) return false
  if (credentials.kind === 'person') await refresh()
  else drop()
  return hasCredentials()
}

function refresh(): Promise<void> {
  // A refresh token is good once: all who need a new one wait for the same.
  refreshing ??= siblings.renewed(renewed).finally(() => {
    refreshing = null
  })
  return refreshing
}

async function renewed(): Promise<void> {
  const before = credentials
  if (before?.kind !== 'person') return
  try {
    const told = await post('/api/v1/auth/refresh', { refresh_token: before.refresh })
    // Whoever signed out meanwhile, or in as somebody else, stays so.
    if (credentials !== before) return
    const made = person(told, { session: before.session, turn: before.turn + 1 })
    keep(made)
    siblings.tell(made)
  } catch (error) {
    if (!(error instanceof Error && 'status' in error && error.status === 401)) throw error
    if (credentials === before) drop()
  }
}

async function post(path: string, body: unknown): Promise<SignedIn> {
  let answer: Response
  try {
    answer = await fetch(path, {
      method: 'POST',
      headers: { 'content-type': 'application/json' },
      body: JSON.stringify(body),
    })
  } catch {
    throw unreachable()
  }
  if (!answer.ok) throw errorOf(answer.status, await answer.text(), answer.headers.get('retry-after'))
  return (await answer.json()) as SignedIn
}

function person(told: SignedIn, shared: Shared): PersonCredentials {
  return {
    ...shared,
    kind: 'person',
    access: told.access_token,
    refresh: told.refresh_token,
    ends: Date.now() + told.expires_in * 1000,
  }
}

function keep(now: Credentials): void {
  credentials = now
  sessionStorage.setItem(STORED, JSON.stringify(now))
}

function drop(): void {
  credentials = null
  sessionStorage.removeItem(STORED)
  refused += 1
  for (const listener of heard) listener()
}

function read(): Credentials | null {
  try {
    const stored = sessionStorage.getItem(STORED)
    if (stored === null) return null
    const found = JSON.parse(stored) as Credentials
    // Kept by an older page, which knew of no other tabs.
    if (found.kind === 'person') return { ...found, session: found.session ?? found.refresh, turn: found.turn ?? 0 }
    return found
  } catch {
    return null
  }
}
