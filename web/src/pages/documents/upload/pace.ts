/** How quickly something goes, from when its parts were done: pure, the clock is an argument. */

const WINDOW_MS = 15_000
const SETTLED_MS = 2_000 // a rate over less is a guess

export interface Pace {
  /** Parts a second; null while too little is known. */
  rate: number | null
  /** Seconds until the end; null while too little is known. */
  left: number | null
}

export class Pacer {
  private readonly marks: { at: number; done: number }[] = []

  mark(done: number, at: number): void {
    this.marks.push({ at, done })
    while (this.marks.length > 2 && this.marks[1]!.at < at - WINDOW_MS) this.marks.shift()
  }

  pace(total: number): Pace {
    const first = this.marks[0]
    const last = this.marks.at(-1)
    if (first === undefined || last === undefined || last.at - first.at < SETTLED_MS) return { rate: null, left: null }
    const rate = ((last.done - first.done) * 1000) / (last.at - first.at)
    return { rate, left: rate > 0 ? Math.max(0, total - last.done) / rate : null }
  }
}
