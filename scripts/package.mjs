// Makes the packages that are published, as tarballs in packages/: hint-engine, and @hint-engine/PLATFORM with the native engine.
//   npm run package [-- PLATFORM…] [--cuda] [--jobs N]
//     PLATFORM: linux-x64, linux-arm64; that of this machine unless named. Another one needs Debian's cross compiler,
//     g++-aarch64-linux-gnu or g++-x86-64-linux-gnu
//     --cuda: also @hint-engine/linux-x64-cuda, which needs nvcc
//     main: hint-engine alone
//   The TypeScript must be built (npm run build:ts). What is compiled is kept in build-package/ between calls.
import { copyFileSync, cpSync, existsSync, mkdirSync, mkdtempSync, readdirSync, readFileSync, rmSync, statSync, writeFileSync } from 'node:fs'; // prettier-ignore
import { availableParallelism, tmpdir } from 'node:os';
import { basename, dirname, join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { parseArgs } from 'node:util';
import { mainManifest, platformManifest } from './package/manifest.mjs';
import { buildNative, putAll, TARGETS } from './package/native.mjs';
import { PLATFORM_LICENCES, platformReadme } from './package/texts.mjs';
import { fail, run } from './package/run.mjs';

const root = join(dirname(fileURLToPath(import.meta.url)), '..');
const PACKAGES = join(root, 'packages');
const FOLDER = join(root, 'build-package');

const { values, positionals } = parseArgs({
  allowPositionals: true,
  options: { cuda: { type: 'boolean', default: false }, jobs: { type: 'string' } },
});
const isMainAlone = positionals.includes('main');
const names = positionals.filter((name) => name !== 'main');
const unknown = names.find((name) => !Object.hasOwn(TARGETS, name));
if (unknown !== undefined) fail(`There is no platform ${unknown}; use ${Object.keys(TARGETS).join(' or ')}.`);
const jobs = Number(values.jobs ?? availableParallelism());
if (!Number.isInteger(jobs) || jobs < 1) fail(`--jobs is ${values.jobs}; give a whole number from 1.`);

const own = JSON.parse(readFileSync(join(root, 'package.json'), 'utf8'));
mkdirSync(PACKAGES, { recursive: true });
mkdirSync(FOLDER, { recursive: true });
packMain();
if (!isMainAlone)
  for (const name of names.length > 0 ? names : [`${process.platform}-${process.arch}`])
    packPlatform(TARGETS[name]);

/** hint-engine: the files that `files` of package.json names, with a package.json for dependents. */
function packMain() {
  if (!existsSync(join(root, 'dist/bundle/library/index.js')))
    fail('dist/bundle is not built; run "npm run build:ts".');
  const [{ files }] = JSON.parse(
    run('npm', ['pack', '--dry-run', '--json', '--ignore-scripts'], { cwd: root }),
  );
  const stage = mkdtempSync(join(tmpdir(), 'hint-package-'));
  for (const { path } of files) {
    mkdirSync(dirname(join(stage, path)), { recursive: true });
    copyFileSync(join(root, path), join(stage, path));
  }
  pack(stage, mainManifest(own, Object.keys(TARGETS)));
}

function packPlatform(target) {
  if (!target) fail(`No package is made for ${process.platform}-${process.arch}; name a platform.`);
  const cuda = values.cuda && target.name === 'linux-x64';
  const { files, cudaFile, glibc } = buildNative(root, FOLDER, target, { jobs, cuda });
  console.log(`${target.name}: calls glibc ${glibc.join('.')} at most`);
  const packages = [
    { held: files, isCuda: false },
    ...(cuda ? [{ held: [cudaFile, files[1]], isCuda: true }] : []),
  ];
  for (const { held, isCuda } of packages) {
    const stage = mkdtempSync(join(tmpdir(), 'hint-package-'));
    const manifest = platformManifest(own, target, { cuda: isCuda });
    putAll(held, stage);
    cpSync(join(root, 'LICENSE'), join(stage, 'LICENSE'));
    writeFileSync(join(stage, 'README.md'), platformReadme(manifest));
    writeFileSync(join(stage, 'LICENCES.txt'), PLATFORM_LICENCES);
    pack(stage, manifest);
  }
}

function pack(stage, manifest) {
  writeFileSync(join(stage, 'package.json'), `${JSON.stringify(manifest, null, 2)}\n`);
  const prefix = `${manifest.name.replace('@', '').replace('/', '-')}-`;
  for (const name of readdirSync(PACKAGES))
    if (name.startsWith(prefix) && /^\d/.test(name.slice(prefix.length))) rmSync(join(PACKAGES, name));
  const [{ filename, unpackedSize }] = JSON.parse(
    run('npm', ['pack', '--json', '--ignore-scripts', '--pack-destination', PACKAGES], { cwd: stage }),
  );
  rmSync(stage, { recursive: true });
  const mebibytes = (bytes) => `${(bytes / 2 ** 20).toFixed(1)} MiB`;
  const file = join(PACKAGES, basename(filename));
  console.log(
    `packages/${basename(filename)}: ${mebibytes(statSync(file).size)}, unpacked ${mebibytes(unpackedSize)}`,
  );
}
