import { execFile } from 'node:child_process';
import { readFile } from 'node:fs/promises';
import { join } from 'node:path';
import { promisify } from 'node:util';
import { beforeAll, describe, expect, it } from 'vitest';
import { packageRoot } from '../../src/util/package-root.js';

const root = packageRoot();
const json = async <T>(...path: string[]): Promise<T> =>
  JSON.parse(await readFile(join(root, ...path), 'utf8')) as T;

interface Manifest {
  dependencies: Record<string, string>;
  files: string[];
  keywords: string[];
  [key: string]: unknown;
}

describe('the tarball', () => {
  let paths: string[];
  let bytes: number;
  beforeAll(async () => {
    const pack = ['pack', '--dry-run', '--json', '--ignore-scripts'];
    const { stdout } = await promisify(execFile)('npm', pack, { cwd: root, maxBuffer: 1 << 26 });
    const [{ files, unpackedSize }] = JSON.parse(stdout) as [
      { files: { path: string }[]; unpackedSize: number },
    ];
    paths = files.map(({ path }) => path);
    bytes = unpackedSize;
  });

  it('holds what an installed package runs, what it is built from, and its pages', () => {
    for (const path of [
      'dist/bundle/library/index.js',
      'dist/bundle/library/server.js',
      'dist/bundle/library/tensor.js',
      'dist/bundle/library/testing.js',
      'dist/bundle/cli/main.js',
      'dist/bundle/workers/tokenize.js',
      'dist/bundle/fonts/DejaVuSans.ttf',
      'dist/bundle/page/index.html',
      'dist/bundle/LICENCES.txt',
      'dist/index.d.ts',
      'dist/testing/index.d.ts',
      'CMakeLists.txt',
      'native/runtime/cuda/CMakeLists.txt',
      'bindings/addon.cc',
      'models/demo-t5/config.json',
      'bench/peers/hint_torch.py',
      'docs/install.md',
      'CHANGELOG.md',
      'README.md',
      'LICENSE',
    ])
      expect(paths).toContain(path);
  });

  it('holds no tests, no emulator, no maps, no sources that dist/ was made from, and nothing that was built here', () => {
    const odd =
      /(^|\/)(tests?|emulator|results)\/|\.map$|^src\/|^build|^scripts\/|^docs\/api\/|\.node$|\.so(\.|$)|^dist\/(?!bundle\/).*\.js$/;
    expect(paths.filter((path) => odd.test(path))).toEqual([]);
    // Of them 1.2 MiB are the library of grammars, as its authors publish it, and 0.2 MiB the server, which its workers have once more.
    expect(bytes).toBeLessThan(14 * 2 ** 20);
  });

  it('names where it comes from and what it is about', async () => {
    const manifest = await json<Manifest>('package.json');
    expect(manifest).toMatchObject({ repository: { type: 'git' }, bugs: {}, license: 'Apache-2.0' });
    expect(manifest.keywords.length).toBeGreaterThan(5);
  });
});

describe('dependencies of a dependent', () => {
  it('have no install script, and none of them only builds or only serves tests', async () => {
    const lock = await json<{
      packages: Record<string, { dev?: boolean; hasInstallScript?: boolean; peer?: boolean }>;
    }>('package-lock.json');
    const installed = Object.entries(lock.packages).filter(([path, { dev, peer }]) => path && !dev && !peer);
    expect(installed.length).toBeGreaterThan(20);
    expect(installed.filter(([, { hasInstallScript }]) => hasInstallScript).map(([path]) => path)).toEqual(
      [],
    );
    const { dependencies } = await json<Manifest>('package.json');
    for (const name of ['cmake-js', '@xenova/transformers', 'dejavu-fonts-ttf', '@huggingface/hub'])
      expect(Object.keys(dependencies)).not.toContain(name);
  });
});
