// Runs the test suite under every supported version of Node.js. npm's package `node` installs each into its own folder.
// One native build serves all of them, because it uses N-API 9.
//
//   npm run test:nodes                            the whole suite, version by version
//   npm run test:nodes -- test/data test/util     only these tests
//   NODES=22,24 npm run test:nodes                only these versions
import { spawnSync } from 'node:child_process';
import { existsSync, mkdirSync, writeFileSync } from 'node:fs';
import { delimiter, join } from 'node:path';
import { fileURLToPath } from 'node:url';

const root = fileURLToPath(new URL('..', import.meta.url));
const folder = join(root, 'build-nodes');
const versions = (process.env.NODES ?? '20,22,24').split(',');
const tests = process.argv.slice(2);

/** Path of the Node.js of a version, which is installed when it is missing. */
function nodeOf(version) {
  const home = join(folder, version);
  // The package `node` has an install script that only links the binary of this package.
  const name = `node-${process.platform === 'win32' ? 'win' : process.platform}-${process.arch}`;
  const binary = join(home, 'node_modules', name, 'bin', 'node');
  if (existsSync(binary)) return binary;
  mkdirSync(home, { recursive: true });
  writeFileSync(join(home, 'package.json'), '{"private": true}\n');
  const flags = ['install', '--no-save', '--no-audit', '--no-fund', '--ignore-scripts', `${name}@${version}`];
  run('npm', flags, { cwd: home });
  if (!existsSync(binary)) fail(`npm's package ${name}@${version} has no ${binary}.`);
  return binary;
}

function run(command, parameters, options) {
  const { status, error } = spawnSync(command, parameters, { stdio: 'inherit', ...options });
  if (error) fail(`${command} does not start: ${error.message}`);
  return status === 0 ? true : fail(`${command} ${parameters.join(' ')} ended with ${status}.`);
}

function fail(sentence) {
  console.error(sentence);
  process.exit(1);
}

for (const version of versions) {
  if (!/^\d+(\.\d+)*$/.test(version)) fail(`NODES names ${version}; give versions such as 20,22,24.`);
  const node = nodeOf(version);
  const said = spawnSync(node, ['--version'], { encoding: 'utf8' }).stdout.trim();
  console.log(`== Node.js ${said}`);
  // Tests also start `node` by its name.
  const env = { ...process.env, PATH: `${join(node, '..')}${delimiter}${process.env.PATH}` };
  run(node, [join(root, 'node_modules/vitest/vitest.mjs'), 'run', ...tests], { cwd: root, env });
}
console.log(`All pass on Node.js ${versions.join(', ')}.`);
