// What the browser loads, from what npm brings: two scripts (one only for pages with a chart) and one style sheet, under hashed names.
import { defineConfig } from "vite";

export default defineConfig({
  base: "/assets/",
  publicDir: false,
  build: {
    outDir: "../static",
    emptyOutDir: true,
    assetsDir: "",
    manifest: "manifest.json",
    // Modules, and no polyfill: browsers of the last three years; an inlined font would need `data:` in the policy for fonts.
    target: "es2022",
    assetsInlineLimit: 0,
    modulePreload: { polyfill: false },
    rollupOptions: { input: { boot: "src/boot.js", main: "src/main.js", charts: "src/charts.js" } },
  },
});
