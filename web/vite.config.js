import { fileURLToPath } from "node:url";
import { defineConfig } from "vite";

const here = (path) => fileURLToPath(new URL(path, import.meta.url));

// The result is committed and embedded in the binary: it must be the same on every machine.
export default defineConfig({
  root: here("./src"),
  base: "/dev/",
  resolve: { alias: { "menshen-client": here("../clients/typescript/src") } },
  esbuild: { jsx: "automatic", jsxImportSource: "preact", legalComments: "none" },
  build: {
    outDir: here("../router/web"), emptyOutDir: true, target: "es2022", modulePreload: { polyfill: false }, assetsInlineLimit: 0,
    reportCompressedSize: false,
    rollupOptions: { input: ["index", "sms", "demo"].map((page) => here(`./src/${page}.html`)) },
  },
  server: { proxy: Object.fromEntries(["/auth", "/app", "/wx", "/swagger", "/dev/sms.json", "/dev/sms/events", "/dev/users", "/dev/sessions"].map((path) => [path, "http://localhost:8080"])) },
});
