/** Figures as people read them. */

const whole = new Intl.NumberFormat('en')
const moment = new Intl.DateTimeFormat(undefined, { dateStyle: 'medium', timeStyle: 'short' })

export function count(value: number): string {
  return whole.format(value)
}

export function counted(value: number, one: string, many = `${one}s`): string {
  return `${count(value)} ${value === 1 ? one : many}`
}

export function bytes(value: number): string {
  const units = ['B', 'KiB', 'MiB', 'GiB']
  let at = 0
  let size = value
  while (size >= 1024 && at < units.length - 1) {
    size /= 1024
    at += 1
  }
  return `${at === 0 || size >= 100 ? Math.round(size) : size.toFixed(1)} ${units[at]}`
}

export function duration(seconds: number): string {
  const rounded = Math.ceil(seconds)
  if (rounded < 60) return `${rounded} s`
  if (rounded < 3600) return `${Math.floor(rounded / 60)} min ${rounded % 60} s`
  return `${Math.floor(rounded / 3600)} h ${Math.floor((rounded % 3600) / 60)} min`
}

export function date(unixSeconds: number): string {
  return moment.format(unixSeconds * 1000)
}

const KINDS: Record<string, string> = {
  'application/pdf': 'PDF',
  'text/markdown': 'Markdown',
  'text/plain': 'Text',
  'text/html': 'HTML',
  'text/csv': 'CSV',
  'text/tab-separated-values': 'TSV',
  'application/x-ndjson': 'JSONL',
  'application/jsonl': 'JSONL',
  'application/vnd.openxmlformats-officedocument.wordprocessingml.document': 'Word',
}

export function kind(mediaType: string): string {
  return KINDS[mediaType] ?? mediaType
}
