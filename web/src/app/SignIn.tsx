/** Asked for where the gateway wants to know who asks: an account, or an API key. */
import { type FormEvent, useId, useState } from 'react'

import { me } from '../api/account'
import { type ApiError, asApiError } from '../api/errors'
import { signIn, takeKey } from '../api/session'
import { Notice } from '../parts/Notice'

type Way = 'person' | 'key'

export function SignIn({ onSignedIn }: { onSignedIn: () => void }) {
  const [way, setWay] = useState<Way>('person')
  const [error, setError] = useState<ApiError | null>(null)
  const [busy, setBusy] = useState(false)

  const submit = async (event: FormEvent<HTMLFormElement>) => {
    event.preventDefault()
    const form = new FormData(event.currentTarget)
    const field = (name: string) => String(form.get(name) ?? '')
    setBusy(true)
    setError(null)
    try {
      if (way === 'person') await signIn(field('email'), field('password'))
      else {
        takeKey(field('key'))
        await me()
      }
      onSignedIn()
    } catch (thrown) {
      setError(asApiError(thrown))
      setBusy(false)
    }
  }

  return (
    <main className="signin">
      <form onSubmit={(event) => void submit(event)} aria-busy={busy}>
        <img src={`${import.meta.env.BASE_URL}mark.svg`} alt="" width="36" height="36" />
        <h1>Sign in to Heliostat</h1>
        <div className="segments" role="group" aria-label="With">
          <button type="button" aria-pressed={way === 'person'} onClick={() => setWay('person')}>Account</button>
          <button type="button" aria-pressed={way === 'key'} onClick={() => setWay('key')}>API key</button>
        </div>
        {way === 'person' ? (
          <>
            <Field key="email" label="E-mail or user name" name="email" type="text" complete="username" />
            <Field key="password" label="Password" name="password" type="password" complete="current-password" />
          </>
        ) : (
          <Field key="key" label="API key" name="key" type="password" complete="off" placeholder="sk-heliostat-…" />
        )}
        {error === null ? null : <Notice error={error} />}
        <button type="submit" className="primary" disabled={busy}>{busy ? 'Signing in …' : 'Sign in'}</button>
      </form>
    </main>
  )
}

interface FieldProps {
  label: string
  name: string
  type: string
  complete: string
  placeholder?: string
}

function Field({ label, name, type, complete, placeholder }: FieldProps) {
  const id = useId()
  return (
    <div className="field">
      <label htmlFor={id}>{label}</label>
      <input id={id} name={name} type={type} autoComplete={complete} placeholder={placeholder} required spellCheck={false} />
    </div>
  )
}
