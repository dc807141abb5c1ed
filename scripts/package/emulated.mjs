// Installed packages on processors that this machine does not have, by QEMU's user mode: slow, but the answers must be the same.
import { spawnSync } from 'node:child_process';
import { cpSync, existsSync, mkdirSync, readdirSync, rmSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { nodeOf } from './system.mjs';

/** x86-64 processors by the newest instructions that kernels are compiled for: AVX2, and none of them. */
export const X64_PROCESSORS = ['Haswell', 'Nehalem'];
/** Debian's libraries of arm64 for cross compilers. */
const ARM64_LIBRARIES = '/usr/aarch64-linux-gnu';
const FORMATS = '/proc/sys/fs/binfmt_misc';

/** An empty project with the package of a platform, outside of any system. */
export class EmulatedProject {
  constructor(folder, platform, { checks, root, registry }) {
    this.path = join(folder, 'emulated', platform);
    this.node = nodeOf(folder, '22', platform);
    rmSync(this.path, { recursive: true, force: true });
    mkdirSync(this.path, { recursive: true });
    for (const name of readdirSync(checks)) cpSync(join(checks, name), join(this.path, name));
    cpSync(join(root, 'test/fixtures/version-0.1.0/runs/hint'), join(this.path, 'run'), { recursive: true });
    writeFileSync(join(this.path, 'package.json'), '{"private": true}\n');
    const [os, cpu] = platform.split('-');
    const target = [`--os=${os}`, `--cpu=${cpu}`];
    const quiet = ['--ignore-scripts', '--no-audit', '--no-fund'];
    this.installed = this.run('npm', [
      'install',
      ...quiet,
      ...target,
      '--registry',
      registry.url,
      'hint-engine',
    ]);
  }

  /** Compiles and generates on a processor; without a name on this one, or on any arm64. */
  generate(processor) {
    const program = join(this.node, 'bin/node');
    const cache = { XDG_CACHE_HOME: join(this.path, 'cache', processor ?? 'here') };
    if (processor === undefined) return this.run(program, ['generate.mjs'], cache);
    return this.run('qemu-x86_64-static', ['-cpu', processor, program, 'generate.mjs'], cache);
  }

  run(command, parameters, environment = {}) {
    const env = { ...process.env, QEMU_LD_PREFIX: ARM64_LIBRARIES, ...environment };
    return spawnSync(command, parameters, { cwd: this.path, encoding: 'utf8', env });
  }
}

/** Why nothing can be emulated here; undefined where it can. */
export function emulationLacks() {
  if (spawnSync('qemu-x86_64-static', ['--version']).error) return 'qemu-user-static is not installed';
  if (!existsSync(ARM64_LIBRARIES))
    return 'g++-aarch64-linux-gnu, which brings libraries of arm64, is not installed';
  return undefined;
}

/**
 * Has Linux start arm64 programs, those that Node.js starts too, with QEMU while `body` runs.
 *
 * @throws where the system does not let this process register a format of programs
 */
export function withArm64Programs(body) {
  if (!existsSync(join(FORMATS, 'register')))
    spawnSync('mount', ['-t', 'binfmt_misc', 'binfmt_misc', FORMATS]);
  const own = join(FORMATS, 'qemu-aarch64');
  const isThere = existsSync(own);
  const magic = String.raw`\x7fELF\x02\x01\x01\x00\x00\x00\x00\x00\x00\x00\x00\x00\x02\x00\xb7\x00`;
  const mask = String.raw`\xff\xff\xff\xff\xff\xff\xff\x00\xff\xff\xff\xff\xff\xff\xff\xff\xfe\xff\xff\xff`;
  if (!isThere)
    writeFileSync(
      join(FORMATS, 'register'),
      `:qemu-aarch64:M::${magic}:${mask}:/usr/bin/qemu-aarch64-static:F`,
    );
  try {
    return body();
  } finally {
    if (!isThere) writeFileSync(own, '-1');
  }
}
