import react from '@vitejs/plugin-react'
import { defineConfig } from 'vitest/config'

// `npm run dev` asks the gateway of `heliostat up` on its usual port.
const GATEWAY = 'http://127.0.0.1:8000'

export default defineConfig({
  base: '/ui/',
  plugins: [react()],
  build: {
    // A data: URL of a script or a style would need a hole in the gateway's policy for pages.
    assetsInlineLimit: 0,
    modulePreload: { polyfill: false },
  },
  server: { proxy: { '/api': { target: GATEWAY, changeOrigin: true } } },
  test: { include: ['src/**/*.test.ts'], environment: 'node' },
})
