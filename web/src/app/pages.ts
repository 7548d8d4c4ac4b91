/** The pages, in the order of the navigation. A page that works is added here, and nowhere else. */
import type { ComponentType } from 'react'

import { DocumentsPage } from '../pages/documents/DocumentsPage'

export interface PageEntry {
  path: string
  name: string
  Page: ComponentType
}

export const pages: readonly PageEntry[] = [{ path: '/documents', name: 'Documents', Page: DocumentsPage }]
