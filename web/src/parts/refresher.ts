/**
 * Loads something again as it changes: never two loads at once, seldom however often it changes, and not while the
 * tab is hidden: what changed then is loaded when somebody looks again.
 */

const APART_MS = 2000 // between the starts of two loads

/** What a browser tells; tests bring another. */
export interface Sight {
  hidden: () => boolean
  /** Told when the tab is shown or hidden; returns how to stop it. */
  watch: (listener: () => void) => () => void
}

const tab: Sight = {
  hidden: () => document.hidden,
  watch: (listener) => {
    document.addEventListener('visibilitychange', listener)
    return () => document.removeEventListener('visibilitychange', listener)
  },
}

export class Refresher {
  private due: 'no' | 'soon' | 'now' = 'no'
  private running = false
  private stopped = false
  private timer: ReturnType<typeof setTimeout> | null = null
  /** When the next load may begin, in milliseconds of `performance.now()`. */
  private earliest = 0
  private readonly unwatch: () => void

  /** load: never rejects. */
  constructor(
    private readonly load: () => Promise<void>,
    private readonly sight: Sight = tab,
  ) {
    this.unwatch = sight.watch(() => this.plan())
  }

  /** Load at once, hidden or not: for the first time. */
  begin(): void {
    void this.run()
  }

  /** Something has changed: load when it is time. */
  readonly soon = (): void => {
    if (this.due === 'no') this.due = 'soon'
    this.plan()
  }

  /** Somebody waits to see a change: load as soon as no other load runs. */
  readonly now = (): void => {
    this.due = 'now'
    this.plan()
  }

  /** Load nothing any more. */
  stop(): void {
    this.stopped = true
    this.unwatch()
    this.disarm()
  }

  private plan(): void {
    this.disarm()
    if (this.stopped || this.running || this.due === 'no' || this.sight.hidden()) return
    const wait = this.earliest - performance.now()
    if (this.due === 'now' || wait <= 0) void this.run()
    else this.timer = setTimeout(() => void this.run(), wait)
  }

  private async run(): Promise<void> {
    this.disarm()
    this.due = 'no'
    this.running = true
    const began = performance.now()
    await this.load()
    const ended = performance.now()
    this.running = false
    // A server that is slow to answer is asked for half of the time at most.
    this.earliest = Math.max(began + APART_MS, ended + (ended - began))
    this.plan()
  }

  private disarm(): void {
    if (this.timer !== null) clearTimeout(this.timer)
    this.timer = null
  }
}
