/** The shell around all pages: who asks, where one is, and how it looks. */
import { useCallback, useEffect, useState, useSyncExternalStore } from 'react'
import { Redirect, Route, Router, Switch } from 'wouter'

import { type Account, me } from '../api/account'
import { type ApiError, asApiError, isAbort } from '../api/errors'
import { hasCredentials, refusals, watchRefusals } from '../api/session'
import { Notice } from '../parts/Notice'
import { pages } from './pages'
import { Shell } from './Shell'
import { SignIn } from './SignIn'

type Standing = { kind: 'asking' } | { kind: 'in'; account: Account } | { kind: 'out' } | { kind: 'failed'; error: ApiError }

export function App() {
  const [standing, again] = useStanding()
  if (standing.kind === 'asking') return <p className="boot" role="status">Loading …</p>
  if (standing.kind === 'failed') {
    return (
      <div className="boot">
        <Notice error={standing.error} />
        <button type="button" onClick={again}>Try again</button>
      </div>
    )
  }
  if (standing.kind === 'out') return <SignIn onSignedIn={again} />
  return (
    <Router base="/ui">
      <Shell account={standing.account}>
        <Switch>
          {pages.map(({ path, Page }) => (
            <Route key={path} path={`${path}/*?`}>
              <Page />
            </Route>
          ))}
          <Route path="/"><Redirect to={pages[0]!.path} replace /></Route>
          <Route>
            <main className="lonely">
              <h1>There is no such page</h1>
              <p>The address may be mistyped.</p>
            </main>
          </Route>
        </Switch>
      </Shell>
    </Router>
  )
}

/** Who asks; looked up at the start, after a sign-in, and whenever credentials are refused. */
function useStanding(): [Standing, () => void] {
  const refused = useSyncExternalStore(watchRefusals, refusals)
  const [round, setRound] = useState(0)
  const [standing, setStanding] = useState<Standing>({ kind: 'asking' })
  useEffect(() => {
    const abortion = new AbortController()
    me(abortion.signal)
      .then((account) => setStanding({ kind: 'in', account }))
      .catch((thrown: unknown) => {
        if (isAbort(thrown)) return
        const error = asApiError(thrown)
        setStanding(error.status === 401 && !hasCredentials() ? { kind: 'out' } : { kind: 'failed', error })
      })
    return () => abortion.abort()
  }, [refused, round])
  const again = useCallback(() => {
    setStanding({ kind: 'asking' })
    setRound((before) => before + 1)
  }, [])
  return [standing, again]
}
