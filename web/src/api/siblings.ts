/**
 * Tabs of one sign-in. A duplicated tab has the same refresh token, which is good once, and a second use ends the
 * session for all: so one tab at a time makes a new one, and all of the sign-in take it over.
 *
 * A tab that wants to asks the others first, and whoever knows more answers. Where the browser has locks, they keep
 * two from asking at once; where it has none (a page of plain HTTP), whose name is the lower goes first. How often
 * a sign-in was renewed is noted where all tabs see it, and nothing else of it is: a tab that is behind waits for
 * the others' answer however slow they are.
 */

/** Credentials that tabs may share. session: of the sign-in; turn: grows with each renewal. */
export interface Shared {
  session: string
  turn: number
}

/** What is told to all tabs. tab: who asks; to: who is answered. */
type Told<T extends Shared> =
  | { kind: 'ask'; session: string; turn: number; tab: string }
  | { kind: 'busy'; session: string; to: string }
  | { kind: 'now'; session: string; credentials: T }
  | { kind: 'left'; session: string }

/** What a tab does with what it hears. */
export interface Ears<T extends Shared> {
  own: () => T | null
  /** Another tab has newer ones of the same sign-in. */
  adopt: (newer: T) => void
  /** Somebody signed out in another tab. */
  leave: () => void
}

const CHANNEL = 'heliostat.session'
const ASK_MS = 150 // another tab answers within a few milliseconds; one of a busy machine may not
const BUSY_MS = 10_000 // for which another tab is believed to be at it

/** How often sign-ins were renewed, in whichever tab. storage: that all tabs see; without it nothing is known. */
export class Turns {
  constructor(private readonly storage: Storage | null = shared()) {}

  of(session: string): number {
    return Number(this.storage?.getItem(`${CHANNEL}.${session}`) ?? 0)
  }

  note({ session, turn }: Shared): void {
    if (turn <= this.of(session)) return
    try {
      this.storage?.setItem(`${CHANNEL}.${session}`, String(turn))
    } catch {
      // Full, or not for this page: the tabs ask each other all the same.
    }
  }

  forget(session: string): void {
    this.storage?.removeItem(`${CHANNEL}.${session}`)
  }
}

/** The browser's, where it lets a page have one. */
function shared(): Storage | null {
  try {
    return globalThis.localStorage ?? null
  } catch {
    return null
  }
}

export class Siblings<T extends Shared> {
  private readonly channel = typeof BroadcastChannel === 'undefined' ? null : new BroadcastChannel(CHANNEL)
  private doing: 'nothing' | 'asking' | 'renewing' = 'nothing'
  private behind = false
  private poke = () => {}

  constructor(
    private readonly ears: Ears<T>,
    private readonly tab = randomName(),
    private readonly locks: LockManager | null = globalThis.navigator?.locks ?? null,
    private readonly turns: Turns = new Turns(),
  ) {
    if (this.channel !== null) this.channel.onmessage = ({ data }) => this.hear(data as Told<T>)
  }

  /** Make new credentials, unless another tab has made some, or makes them now: then those are taken. */
  async renewed(make: () => Promise<void>): Promise<void> {
    const before = this.ears.own()
    if (before === null) return
    const work = async () => {
      try {
        if (!(await this.isFirst(before))) return
        this.doing = 'renewing'
        await make()
      } finally {
        this.doing = 'nothing'
      }
    }
    if (this.locks === null) await work()
    else await this.locks.request(`${CHANNEL}.${before.session}`, work)
  }

  /** Tell the other tabs what is good from now on. */
  tell(credentials: T): void {
    this.turns.note(credentials)
    this.post({ kind: 'now', session: credentials.session, credentials })
  }

  /** Somebody signed out here. */
  left(session: string): void {
    this.turns.forget(session)
    this.post({ kind: 'left', session })
  }

  /** Hear nothing any more. */
  close(): void {
    this.channel?.close()
  }

  /** Whether this tab is to do it; false as soon as its credentials are others. */
  private async isFirst(before: T): Promise<boolean> {
    const changed = () => this.ears.own() !== before
    while (!changed()) {
      this.doing = 'asking'
      this.behind = false
      this.post({ kind: 'ask', session: before.session, turn: before.turn, tab: this.tab })
      const late = this.turns.of(before.session) > before.turn
      await this.wait(late ? BUSY_MS : ASK_MS, () => changed() || this.behind)
      if (changed()) break
      if (!this.behind) return true
      this.doing = 'nothing'
      await this.wait(BUSY_MS, changed)
    }
    return false
  }

  private hear(told: Told<T>): void {
    const own = this.ears.own()
    if (own === null || told.session !== own.session) return
    if (told.kind === 'now') {
      if (told.credentials.turn > own.turn) this.ears.adopt(told.credentials)
    } else if (told.kind === 'left') {
      this.ears.leave()
    } else if (told.kind === 'busy') {
      if (told.to === this.tab) this.behind = true
    } else if (told.turn < own.turn) {
      this.tell(own)
    } else if (this.doing === 'renewing' || (this.doing === 'asking' && this.tab < told.tab)) {
      this.post({ kind: 'busy', session: own.session, to: told.tab })
    } else if (this.doing === 'asking') {
      this.behind = true
    }
    this.poke()
  }

  private wait(ms: number, over: () => boolean): Promise<void> {
    return new Promise((resolve) => {
      const end = () => {
        clearTimeout(timer)
        this.poke = () => {}
        resolve()
      }
      const timer = setTimeout(end, ms)
      this.poke = () => {
        if (over()) end()
      }
    })
  }

  private post(told: Told<T>): void {
    this.channel?.postMessage(told)
  }
}

export function randomName(): string {
  return Array.from(crypto.getRandomValues(new Uint32Array(4)), (part) => part.toString(36)).join('')
}
