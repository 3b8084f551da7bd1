import react from "@vitejs/plugin-react";
import { defineConfig } from "vitest/config";

// Where `paylink serve` answers while the console is served by Vite.
const API = process.env.PAYLINK_CONSOLE_URL ?? "http://127.0.0.1:8000";

export default defineConfig({
  plugins: [react()],
  build: {
    outDir: "../paylink/console",
    emptyOutDir: true,
    // The console's CSP allows no data: scripts and fonts; small files stay files.
    assetsInlineLimit: 0,
    modulePreload: { polyfill: false },
  },
  server: { proxy: { "/v1": API } },
  test: { include: ["src/**/*.test.ts"] },
});
