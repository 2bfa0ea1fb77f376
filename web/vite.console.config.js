import { fileURLToPath } from "node:url";
import { defineConfig } from "vite";
import pages from "./vite.config.js";

const here = (path) => fileURLToPath(new URL(path, import.meta.url));

// The console is built like the other pages, for the admin listener and with a folder of its own.
export default defineConfig({
  root: here("./src/console"), base: "/console/", esbuild: pages.esbuild,
  build: { ...pages.build, outDir: here("../router/console"), rollupOptions: { input: here("./src/console/index.html") } },
  server: { proxy: { "/admin": "http://localhost:8081" } },
});
