// Rehearses scripts/gpu.mjs on a bare GPU machine: a Debian from debootstrap, without Node.js, compiler and network,
// gets the tracked files and .gpu/kit.tar.xz, and runs every step in small sizes on the emulated CUDA library. Needs
// root, debootstrap and unshare.
//   node scripts/test-rehearsal.mjs [FOLDER OF THE EMULATED LIBRARY]     default: build-emulator/emulated
// HINT_BARE_DEBIAN: a folder with such a system that is kept between runs; HINT_OUTPUT: where the record goes.
import { spawnSync } from 'node:child_process';
import { cpSync, existsSync, mkdirSync, mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join, resolve } from 'node:path';
import { KIT, root } from './gpu/machine.mjs';

const emulated = resolve(process.argv[2] ?? join(root, 'build-emulator/emulated'), 'hint_cuda.so');
const archive = join(KIT, 'kit.tar.xz');
const output = resolve(process.env.HINT_OUTPUT ?? join(root, 'runs/rehearsal'));

function fail(sentence) {
  console.error(sentence);
  process.exit(1);
}

function run(command, parameters, options = {}) {
  const { status, error } = spawnSync(command, parameters, { stdio: 'inherit', ...options });
  if (error) fail(`${command} does not start: ${error.message}.`);
  if (status !== 0) fail(`${command} ${parameters[0]} ended with ${status}.`);
}

if (process.getuid() !== 0) fail('A bare Debian is made and entered as root.');
if (!existsSync(emulated)) fail(`${emulated} is missing; docs/cuda.md says how it is built.`);
if (!existsSync(archive)) fail(`${archive} is missing; run "node scripts/pack-gpu.mjs".`);

const folder = mkdtempSync(join(tmpdir(), 'hint-rehearsal-'));
const bare = process.env.HINT_BARE_DEBIAN ?? join(folder, 'debian');
const place = join(bare, 'project');
try {
  if (!existsSync(join(bare, 'bin/sh'))) {
    // A GPU machine has xz, git and the C++ library, which come with its tools.
    run('debootstrap', ['--variant=minbase', '--include=xz-utils,libstdc++6', 'bookworm', bare]);
  }
  for (const program of ['node', 'g++', 'cmake', 'nvcc'])
    for (const bin of ['bin', 'usr/bin', 'usr/local/bin'])
      if (existsSync(join(bare, bin, program))) fail(`${bare} has ${program}; that is not bare.`);
  rmSync(place, { recursive: true, force: true });
  mkdirSync(place, { recursive: true });
  run(
    'sh',
    [
      '-c',
      'git ls-files -z --cached --others --exclude-standard | tar --null --ignore-failed-read -T - -cf - | tar -C "$0" -xf -',
      place,
    ],
    { cwd: root },
  );
  mkdirSync(join(place, '.gpu'));
  cpSync(archive, join(place, '.gpu/kit.tar.xz'));
  cpSync(emulated, join(place, 'emulated/hint_cuda.so'));
  const inside = [
    'cd /project && mount -t proc proc /proc && tar -xJf .gpu/kit.tar.xz &&',
    'PATH=/project/.gpu/node/bin:$PATH HINT_CUDA_FOLDER=/project/emulated HINT_GPU_SCALE=rehearsal HINT_OUTPUT=/project/record',
    'npm run gpu',
  ].join(' ');
  // A new network namespace has no network.
  const namespaces = ['--net', '--mount', '--pid', '--fork', '--kill-child'];
  const environment = { PATH: '/usr/sbin:/usr/bin:/sbin:/bin', HOME: '/root' };
  const { status } = spawnSync('unshare', [...namespaces, 'chroot', bare, 'sh', '-c', inside], {
    stdio: 'inherit',
    env: environment,
  });
  mkdirSync(output, { recursive: true });
  if (existsSync(join(place, 'record'))) cpSync(join(place, 'record'), output, { recursive: true });
  if (status !== 0) fail(`The rehearsal ended with ${status}; its record is in ${output}.`);
  console.log(`The rehearsal passed; its record is in ${output}.`);
} finally {
  rmSync(folder, { recursive: true, force: true });
}
