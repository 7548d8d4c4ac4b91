/** What stands around every page. */
import { type ReactNode, useState } from 'react'
import { Link, useRoute } from 'wouter'

import type { Account } from '../api/account'
import { signOut } from '../api/session'
import { pages, type PageEntry } from './pages'
import { chosenTheme, chooseTheme, type Theme } from './theme'

export function Shell({ account, children }: { account: Account; children: ReactNode }) {
  return (
    <>
      <a className="skip" href="#content">Skip to the content</a>
      <header className="topbar">
        <Link href="/" className="brand">
          <img src={`${import.meta.env.BASE_URL}mark.svg`} alt="" width="22" height="22" />
          Heliostat
        </Link>
        <nav aria-label="Pages">
          {pages.map((page) => <PageLink key={page.path} page={page} />)}
        </nav>
        <div className="topbar-end">
          {account.kind === 'local' ? null : (
            <>
              <span className="who" title={`role: ${account.role}`}>{account.email ?? 'API key'}</span>
              <button type="button" className="quiet" onClick={() => void signOut()}>Sign out</button>
            </>
          )}
          <ThemeChoice />
        </div>
      </header>
      <div id="content" tabIndex={-1}>{children}</div>
    </>
  )
}

function PageLink({ page }: { page: PageEntry }) {
  const [here] = useRoute(`${page.path}/*?`)
  return <Link href={page.path} aria-current={here ? 'page' : undefined}>{page.name}</Link>
}

function ThemeChoice() {
  const [theme, setTheme] = useState(chosenTheme)
  return (
    <select
      className="quiet"
      aria-label="Theme"
      value={theme}
      onChange={(event) => {
        const chosen = event.target.value as Theme
        chooseTheme(chosen)
        setTheme(chosen)
      }}
    >
      <option value="system">System</option>
      <option value="light">Light</option>
      <option value="dark">Dark</option>
    </select>
  )
}
