/** Who asks. */
import { ask } from './client'

export interface Account {
  kind: 'local' | 'person' | 'key'
  email: string | null
  role: 'viewer' | 'user' | 'admin'
  scopes: string[] | null
}

export function me(signal?: AbortSignal): Promise<Account> {
  return ask('/api/v1/auth/me', { signal })
}
