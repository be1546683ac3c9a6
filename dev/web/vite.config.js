import { defineConfig } from "vite";

export default defineConfig({
  // What the page is made of is what its browsers speak anyway: WebTransport and WebCodecs.
  build: { target: "esnext", chunkSizeWarningLimit: 2_000 },
  server: { host: "localhost", port: 8080 },
});
