import { StrictMode } from 'react'
import { createRoot } from 'react-dom/client'

import { App } from './app/App'
import { applyTheme } from './app/theme'
import './style/tokens.css'
import './style/base.css'
import './style/shell.css'
import './style/documents.css'
import './style/upload.css'
import './style/ask.css'

applyTheme()
const root = document.getElementById('root')
if (root !== null) {
  createRoot(root).render(
    <StrictMode>
      <App />
    </StrictMode>,
  )
}
