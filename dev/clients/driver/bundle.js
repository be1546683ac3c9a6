/** Makes one script of a page's module and the packages it imports. */

import { fileURLToPath } from "node:url";
import { build } from "esbuild";

/** The script of `{name}.js`, in bytes; `alias` puts other packages, or folders, in the place of some. */
export async function bundle(name, alias = {}) {
  const { outputFiles } = await build({
    entryPoints: [fileURLToPath(new URL(`../${name}.js`, import.meta.url))],
    bundle: true,
    alias,
    format: "esm",
    write: false,
    logLevel: "error",
  });
  return outputFiles[0].contents;
}
