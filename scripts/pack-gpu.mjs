// Packs what a GPU machine without Node.js and without a network lacks: Node.js with npm, the packages that dist/ needs, dist/, the
// addon, the native tests and bench, the static library that the CUDA library is linked with. Run it after
// `npm run build -- --tests`.
//   node scripts/pack-gpu.mjs        writes .gpu/kit.tar.xz, which is unpacked in the root of the checkout there
// Together with the tracked files it must stay under 64 MiB: it ends with 1 where either is above its share of that.
import { spawnSync } from 'node:child_process';
import { cpSync, existsSync, mkdirSync, mkdtempSync, realpathSync, rmSync, statSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { basename, dirname, join } from 'node:path';
import { ask, KIT, root } from './gpu/machine.mjs';
import { ARCHIVE_MOST, trackedBytes, TREE_MOST } from './gpu/travel.mjs';

/**
 * The bundles but those of workers, as tests and benchmarks take single files of dist/, and what only `hint serve` needs. Of
 * packages: tests, other forms of the same code, sources, and what only downloads need.
 */
const LEFT_OUT =
  /\/dist\/bundle\/(library|cli|page)(\/|$)|\/workers\/grammar\.js$|\/node_modules\/.*\/(tests?|bench(marks?)?|examples?)(\/|$)|\/(csv-parse\/dist|yaml\/browser)(\/|$)|\.(map|md|d\.ts|d\.mts|d\.cts|flow)$|\/(cmake-js|tar|node-api-headers|node-addon-api)(\/|$)|\/node_modules\/@huggingface(\/|$)|zod\/src\/|\/\.package-lock\.json$/;
/** Packages that only `hint serve` loads, which is tested elsewhere. */
const OF_THE_SERVER =
  /\/node_modules\/(@fastify|fastify|fast-json-stringify|ajv|ajv-formats|find-my-way|light-my-request|pino|prom-client|@opentelemetry)(\/|$)/;
/** Documentation of npm. node-gyp stays, because npm looks for it before it runs anything. */
const LEFT_OUT_OF_NPM = /\/npm\/(docs|man)(\/|$)|\.(md|map)$/;
const NPM = '.gpu/node/lib/node_modules';

function fail(sentence) {
  console.error(sentence);
  process.exit(1);
}

function run(command, parameters, options) {
  const { status, stderr, error } = spawnSync(command, parameters, { encoding: 'utf8', ...options });
  if (status !== 0) fail(`${command} ${parameters[0]}: ${error?.message ?? stderr}`);
}

/** A file of the build, in build/ or build-emulator/. */
function built(path) {
  const found = ['build', 'build-emulator']
    .map((folder) => join(root, folder, path))
    .find((file) => existsSync(file));
  return found ?? fail(`${path} is not built; run "npm run build -- --tests".`);
}

const stage = mkdtempSync(join(tmpdir(), 'hint-kit-'));
const put = (from, to, options) => {
  mkdirSync(dirname(join(stage, to)), { recursive: true });
  cpSync(from, join(stage, to), { dereference: true, ...options });
};
const putStripped = (from, to) => {
  put(from, to);
  run('strip', ['--strip-unneeded', join(stage, to)]);
};
try {
  putStripped(process.execPath, '.gpu/node/bin/node');
  const npm = ask('npm', ['root', '--global']);
  if (!npm || !existsSync(join(npm, 'npm/bin/npm-cli.js')))
    fail('npm, which runs the scripts there, is not found.');
  put(join(npm, 'npm'), `${NPM}/npm`, { recursive: true, filter: (source) => !LEFT_OUT_OF_NPM.test(source) });
  run('ln', ['-s', `../lib/node_modules/npm/bin/npm-cli.js`, join(stage, '.gpu/node/bin/npm')]);
  const addon = join(root, 'build/Release/hint.node');
  if (!existsSync(addon)) fail('build/Release/hint.node is not built; run "npm run build -- --tests".');
  putStripped(addon, 'build/Release/hint.node');
  for (const path of ['native/tests/hint_op_tests', 'native/bench/hint_op_bench'])
    putStripped(built(path), join('build', path));
  put(built('libhint_native.a'), 'build/libhint_native.a');
  // The C and C++ libraries are not packed: those of a machine with CUDA's compiler are at least as new.
  for (const [, name, path] of (ask('ldd', [addon]) ?? '').matchAll(/(\S+) => (\/\S+)/g))
    if (/^libgomp\./.test(name)) putStripped(realpathSync(path), join('.gpu/lib', name));
  const isPacked = (source) => !LEFT_OUT.test(source) && !OF_THE_SERVER.test(source);
  const putTree = (folder) => put(folder, folder.slice(root.length), { recursive: true, filter: isPacked });
  putTree(join(root, 'dist'));
  const packages = ask('npm', ['ls', '--omit=dev', '--all', '--parseable', '--prefix', root]) ?? '';
  for (const folder of packages
    .split('\n')
    .filter((path) => path.includes('node_modules/') && existsSync(path)))
    if (isPacked(folder)) putTree(folder);
  mkdirSync(KIT, { recursive: true });
  const archive = join(KIT, 'kit.tar.xz');
  rmSync(archive, { force: true });
  const XZ_OPT = process.env.XZ_OPT ?? '-T1 --x86 --lzma2=preset=9e,dict=192MiB,lc=4';
  run('tar', ['-C', stage, '-cJf', archive, '.'], { env: { ...process.env, XZ_OPT } });
  const [bytes, tree] = [statSync(archive).size, trackedBytes()];
  const mebibytes = (count) => `${(count / 2 ** 20).toFixed(1)} MiB`;
  console.log(
    `${basename(archive)}: ${mebibytes(bytes)} of ${mebibytes(ARCHIVE_MOST)}; the tracked files: ${mebibytes(tree)} of ${mebibytes(TREE_MOST)}`,
  );
  if (bytes > ARCHIVE_MOST || tree > TREE_MOST) fail('That is more than may travel.');
} finally {
  rmSync(stage, { recursive: true, force: true });
}
