// Builds the page of "hint serve" (page/) into dist/bundle/page, of which the server sends every file.
import { join } from 'node:path';
import { build } from 'vite';

/** @returns paths of the modules that are in it, below the root */
export async function buildPage(root) {
  const output = await build({
    root: join(root, 'page'),
    configFile: false,
    // Relative, so that the page also works under a prefix of an application.
    base: './',
    logLevel: 'warn',
    build: {
      outDir: join(root, 'dist', 'bundle', 'page'),
      emptyOutDir: true,
      assetsDir: 'page',
      // Its policy allows images of this server only, not such as are written into the text.
      assetsInlineLimit: 0,
      modulePreload: { polyfill: false },
      target: 'es2022',
    },
  });
  const modules = [output].flat().flatMap(({ output }) => output.flatMap((chunk) => chunk.moduleIds ?? []));
  return modules.filter((id) => id.startsWith(root)).map((id) => id.slice(root.length + 1));
}
