// Installs the tarballs of packages/ as a user would: from a registry of this machine, into an empty project, on Debian and Ubuntu without build
// tools. Needs root (debootstrap, chroot) and `npm run package` before it.
//   npm run test:package [-- --quick] [--build]
//     --quick: one system with one Node.js
//     --build: also `npx hint build` in a project without the platform's package, which compiles everything
// What it tried is added to the file HINT_TEST_COUNTS, a line {"name": …, "count": …} each.
import { spawnSync } from 'node:child_process';
import { appendFileSync, existsSync, readdirSync } from 'node:fs';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { EmulatedProject, emulationLacks, withArm64Programs, X64_PROCESSORS } from './package/emulated.mjs';
import { startRegistry } from './package/registry.mjs';
import { nodeOf, System } from './package/system.mjs';
import { fail } from './package/run.mjs';

const root = fileURLToPath(new URL('..', import.meta.url));
const folder = join(root, 'build-package');
const checks = join(root, 'test', 'package', 'project');
const MOST_MEBIBYTES = 60;

if (process.getuid() !== 0) fail('debootstrap and chroot need root; run it as root.');
const tarballs = existsSync(join(root, 'packages')) ? readdirSync(join(root, 'packages')) : [];
for (const name of ['hint-engine-0', 'hint-engine-linux-'])
  if (!tarballs.some((file) => file.startsWith(name))) fail('packages/ is not whole; run "npm run package".');

let count = 0;
let failures = 0;
function check(what, { status, stdout, stderr, error }, wanted = { status: 0 }) {
  const said = `${stdout ?? ''}${stderr ?? ''}${error?.message ?? ''}`;
  const isGood = status === wanted.status && (!wanted.says || wanted.says.test(said));
  count++;
  if (!isGood) failures++;
  console.log(`${isGood ? 'ok    ' : 'FAILED'} ${what}${isGood ? '' : `: ended with ${status}\n${said}`}`);
  return isGood;
}

const registry = await startRegistry(folder, join(root, 'packages'));
try {
  const isQuick = process.argv.includes('--quick');
  for (const suite of isQuick ? ['bookworm'] : ['bookworm', 'trixie'])
    for (const version of isQuick ? ['22'] : ['20', '22', '24'])
      inEmptyProject(new System(folder, suite), version);
  for (const suite of isQuick ? [] : ['jammy', 'noble']) inEmptyProject(new System(folder, suite), '24');
  onOlderGlibc(new System(folder, 'bullseye'));
  onOtherProcessors();
  withoutPlatformPackage(process.argv.includes('--build'));
} finally {
  registry.stop();
}
if (process.env.HINT_TEST_COUNTS)
  appendFileSync(
    process.env.HINT_TEST_COUNTS,
    `${JSON.stringify({ name: 'checks of installed packages', count })}\n`,
  );
console.log(`${count - failures} passed, ${failures} failed`);
process.exit(failures === 0 ? 0 : 1);

/** What a new user does first, on a system that has Node.js and nothing else. */
function inEmptyProject(system, version) {
  const node = nodeOf(folder, version);
  const project = system.project(node, checks, root);
  const at = `${system.suite}, Node.js ${version}`;
  const packages = ['hint-engine', ...(version === '22' ? ['typescript@~5.9.3', '@types/node@22'] : [])];
  const install = ['install', '--no-audit', '--no-fund', '--registry', registry.url, ...packages];
  if (!check(`${at}: npm install`, project.npm(install))) return;
  check(`${at}: no install script`, project.run('node', ['no-scripts.mjs']));
  if (version !== '22')
    check(`${at}: at most ${MOST_MEBIBYTES} MiB`, project.run('node', ['size.mjs', String(MOST_MEBIBYTES)]));
  check(`${at}: import, compile and generate`, project.run('node', ['generate.mjs']), {
    status: 0,
    says: /Paul|\S/,
  });
  check(`${at}: require`, project.run('node', ['generate.cjs']));
  check(`${at}: hint doctor`, project.run('npx', ['hint', 'doctor']), {
    status: 0,
    says: /native engine +loaded/,
  });
  check(`${at}: hint inspect`, project.run('npx', ['hint', 'inspect', 'run']));
  check(`${at}: hint plot`, project.run('npx', ['hint', 'plot', 'run', '--output', 'curves.png']));
  if (version === '22') check(`${at}: TypeScript, NodeNext, strict`, project.run('npx', ['tsc', '-p', '.']));
}

/** The same answer, whatever instructions a processor has. */
function onOtherProcessors() {
  const lacks = emulationLacks();
  if (lacks !== undefined) return console.log(`skipped other processors: ${lacks}`);
  const places = { checks, root, registry };
  const project = new EmulatedProject(folder, 'linux-x64', places);
  if (!check('x86-64 without a system: npm install', project.installed)) return;
  const here = project.generate();
  if (!check('x86-64, this processor: import, compile and generate', here)) return;
  const says = { status: 0, says: { test: (said) => said.includes(here.stdout.trim()) } };
  for (const processor of X64_PROCESSORS)
    check(`x86-64, ${processor} by QEMU: the same answer`, project.generate(processor), says);
  if (!tarballs.some((file) => file.startsWith('hint-engine-linux-arm64-')))
    return console.log('skipped arm64: run "npm run package -- linux-arm64" for its package');
  const arm64 = new EmulatedProject(folder, 'linux-arm64', places);
  if (!check('arm64: npm install', arm64.installed)) return;
  try {
    withArm64Programs(() => check('arm64 by QEMU: the same answer', arm64.generate(), says));
  } catch (error) {
    console.log(`skipped arm64: Linux does not start its programs with QEMU here (${error.message})`);
  }
}

/** A system that is too old is told so. */
function onOlderGlibc(system) {
  const project = system.project(nodeOf(folder, '22'), checks, root);
  const install = ['install', '--no-audit', '--no-fund', '--registry', registry.url, 'hint-engine'];
  if (!check(`${system.suite}: npm install`, project.npm(install))) return;
  const says = /glibc 2\.31, and the binary of hint-engine needs 2\.34 or later/;
  check(`${system.suite}: the older glibc is named`, project.run('npx', ['hint', 'doctor']), {
    status: 1,
    says,
  });
}

/** npm left the platform's package out: that is said, and the engine can be built instead. */
function withoutPlatformPackage(isBuilt) {
  const system = new System(folder, 'bookworm');
  const project = system.project(nodeOf(folder, '22'), checks, root);
  const install = [
    'install',
    '--omit=optional',
    '--no-audit',
    '--no-fund',
    '--registry',
    registry.url,
    'hint-engine',
  ];
  if (!check('without the platform’s package: npm install', project.npm(install))) return;
  const doctor = project.run('npx', ['hint', 'doctor']);
  check('without the platform’s package: it is named', doctor, {
    status: 1,
    says: /npm install --include=optional/,
  });
  const says = /CMake is not installed; on Debian and Ubuntu run "apt-get install cmake g\+\+ make"/;
  check('without build tools: hint build says so', project.run('npx', ['hint', 'build']), {
    status: 1,
    says,
  });
  if (!isBuilt) return;
  // This machine has the build tools.
  const here = { cwd: project.path, encoding: 'utf8' };
  check(
    'hint build',
    spawnSync(process.execPath, ['node_modules/hint-engine/dist/bundle/cli/main.js', 'build'], here),
  );
  check('what was built generates', spawnSync(process.execPath, ['generate.mjs'], here));
}
