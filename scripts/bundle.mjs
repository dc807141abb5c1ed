// Bundles what starts a process or thread: the library, the command line and their workers, each into a few files of dist/bundle/.
// Node.js reads some 300 files of dist/ and 95 of zod otherwise, which takes most of the time in which the library is imported or a
// command starts. What lies in dist/bundle/ is all that an installed package runs.
import { copyFileSync, mkdirSync, readdirSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { build } from 'esbuild';

/**
 * Packages that become part of the bundles, with what they import; others are imported from node_modules. Types of the library still
 * name zod's. Of the hub's 11 MB a download reads a hundredth.
 */
const BUNDLED = ['zod', '@huggingface/hub', '@mlc-ai/web-xgrammar', 'tar'];

/** Of a package's fonts, the two that charts use: the others would be 10 MB of every installation. */
const FONTS = { package: 'dejavu-fonts-ttf', files: ['DejaVuSans.ttf', 'DejaVuSans-Bold.ttf'] };

/** Of zod's fifty languages only the one that it uses, which it imports by itself too. */
const oneLanguage = {
  name: 'one-language',
  setup({ onLoad }) {
    onLoad({ filter: /zod\/v4\/locales\/index\.js$/ }, () => ({
      contents: 'export { default as en } from "./en.js";',
    }));
  },
};

/** xgrammar calls itself a module and is none: it sets `exports` and calls `require`, which Node.js has not there. */
const grammarLibrary = {
  name: 'grammar-library',
  setup({ onLoad }) {
    onLoad({ filter: /web-xgrammar\/lib\/index\.js$/ }, ({ path }) => ({
      contents: `import { createRequire } from 'node:module';
const require = createRequire(import.meta.url), __filename = '', exports = {}, module = { exports };
${readFileSync(path, 'utf8')}
export const { Grammar, GrammarCompiler, GrammarMatcher, TokenizerInfo } = exports;`,
    }));
  },
};

/**
 * @param root of the repository, whose dist/ is compiled
 * @param others modules that are bundled elsewhere, whose licences are told here too
 */
export async function bundle(root, { others = [] } = {}) {
  const { dependencies, devDependencies } = JSON.parse(readFileSync(join(root, 'package.json'), 'utf8'));
  const folder = join(root, 'dist', 'bundle');
  // Apart from each other: what both share would be cut into a hundred pieces, at the seams of all commands.
  const parts = {
    library: {
      index: 'dist/index.js',
      server: 'dist/server/index.js',
      tensor: 'dist/tensor/index.js',
      testing: 'dist/testing/index.js',
    },
    cli: { main: 'dist/cli/main.js' },
    workers: {
      grammar: 'dist/inference/constrain/grammar-worker.js',
      tokenize: 'dist/data/worker/tokenize-worker.js',
      watch: 'dist/distributed/worker/watch-worker.js',
      onnx: 'dist/benchmark/onnx-worker.js',
      scaling: 'dist/benchmark/scaling/scaling-worker.js',
      serve: 'dist/server/worker/main.js',
      'bench-server': 'dist/benchmark/serve/server-worker.js',
      'bench-load': 'dist/benchmark/serve/load-worker.js',
    },
  };
  const written = new Set();
  const contained = new Set([FONTS.package, ...others.map(packageOf)]);
  for (const [part, entryPoints] of Object.entries(parts)) {
    const { metafile } = await build({
      absWorkingDir: root,
      entryPoints,
      outdir: join(folder, part),
      bundle: true,
      splitting: true,
      format: 'esm',
      platform: 'node',
      target: 'node20',
      // Lines and names stay as they are: Node.js shows the line that throws an error which nobody catches.
      keepNames: true,
      external: Object.keys({ ...dependencies, ...devDependencies }).filter(
        (name) => !BUNDLED.includes(name),
      ),
      plugins: [oneLanguage, grammarLibrary],
      metafile: true,
      logLevel: 'warning',
    });
    for (const name of Object.keys(metafile.outputs)) written.add(join(root, name));
    for (const output of Object.values(metafile.outputs))
      for (const [path, { bytesInOutput }] of Object.entries(output.inputs))
        if (bytesInOutput > 0) contained.add(packageOf(path));
  }
  // Last, so that a process that starts meanwhile finds what it imports.
  for (const part of Object.keys(parts))
    for (const name of readdirSync(join(folder, part)))
      if (!written.has(join(folder, part, name))) rmSync(join(folder, part, name));
  mkdirSync(join(folder, 'fonts'), { recursive: true });
  for (const name of FONTS.files)
    copyFileSync(join(root, 'node_modules', FONTS.package, 'ttf', name), join(folder, 'fonts', name));
  contained.delete(undefined);
  const licences = [...contained].sort().map((name) => {
    const home = join(root, 'node_modules', name);
    const file = readdirSync(home).find((one) => /^licen[cs]e/i.test(one));
    if (file) return `${name}\n\n${readFileSync(join(home, file), 'utf8')}`;
    const { license, author } = JSON.parse(readFileSync(join(home, 'package.json'), 'utf8'));
    return `${name}\n\n${license}, by ${author?.name ?? author ?? 'the authors of its repository'}\n`;
  });
  writeFileSync(join(folder, 'LICENCES.txt'), licences.join('\n'));
}

/** Name of the package that a file of node_modules belongs to; undefined for our own. */
function packageOf(path) {
  return /^node_modules\/((?:@[^/]+\/)?[^/]+)\//.exec(path)?.[1];
}
