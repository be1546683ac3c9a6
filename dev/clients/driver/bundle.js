/** Makes one script of a page's module and the packages it imports. */

import { fileURLToPath } from "node:url";
import { build } from "esbuild";

/** The script of `page/{name}.js`, in bytes. */
export async function bundle(name) {
  const { outputFiles } = await build({
    entryPoints: [fileURLToPath(new URL(`../page/${name}.js`, import.meta.url))],
    bundle: true,
    format: "esm",
    write: false,
    logLevel: "error",
  });
  return outputFiles[0].contents;
}
