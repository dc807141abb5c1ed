// Debian and Ubuntu systems without build tools, and empty projects in them.
import { spawnSync } from 'node:child_process';
import { cpSync, existsSync, mkdirSync, readdirSync, rmSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { fail, run } from './run.mjs';

/** Folder of a Node.js of a version, which npm's package of its binary brings. */
export function nodeOf(folder, version, platform = `${process.platform}-${process.arch}`) {
  const [os, cpu] = platform.split('-');
  const home = join(folder, 'nodes', `${version}-${platform}`);
  const name = `node-${platform}`;
  const found = join(home, 'node_modules', name);
  if (existsSync(join(found, 'bin/node'))) return found;
  mkdirSync(home, { recursive: true });
  writeFileSync(join(home, 'package.json'), '{"private": true}\n');
  const quiet = ['--no-save', '--no-audit', '--no-fund', '--ignore-scripts'];
  run('npm', ['install', ...quiet, '--force', `--os=${os}`, `--cpu=${cpu}`, `${name}@${version}`], {
    cwd: home,
  });
  return found;
}

/** Releases of Ubuntu, which debootstrap makes by the script of the first. Debian has no keys to check them by. */
const UBUNTU = ['jammy', 'noble'];
const ubuntuWords = (suite, target) => [
  ...['--variant=minbase', '--no-check-gpg', suite, target, 'http://archive.ubuntu.com/ubuntu'],
  `/usr/share/debootstrap/scripts/${UBUNTU[0]}`,
];

/** A system of debootstrap's smallest kind, Debian or Ubuntu, kept between calls. */
export class System {
  constructor(folder, suite) {
    this.suite = suite;
    this.root = join(folder, 'systems', suite);
    if (existsSync(join(this.root, 'usr/bin/dpkg'))) return;
    mkdirSync(join(folder, 'systems'), { recursive: true });
    if (spawnSync('debootstrap', ['--version']).error)
      fail('debootstrap is missing; run "apt-get install debootstrap".');
    const ofDebian = ['--variant=minbase', suite, this.root];
    run('debootstrap', UBUNTU.includes(suite) ? ubuntuWords(suite, this.root) : ofDebian);
  }

  /** A new project in it that has a run with its model, and the scripts of `checks`, with a Node.js and this machine's npm. */
  project(node, checks, root) {
    const path = join(this.root, 'project');
    const tools = join(this.root, 'opt/node');
    for (const old of [path, tools, join(this.root, 'root/.cache'), join(this.root, 'root/.npm')])
      rmSync(old, { recursive: true, force: true });
    mkdirSync(join(tools, 'bin'), { recursive: true });
    cpSync(join(node, 'bin/node'), join(tools, 'bin/node'), { dereference: true });
    const npm = run('npm', ['root', '--global']).trim();
    cpSync(join(npm, 'npm'), join(tools, 'lib/node_modules/npm'), { recursive: true, dereference: true });
    for (const name of ['npm', 'npx'])
      writeFileSync(
        join(tools, 'bin', name),
        `#!/bin/sh\nexec /opt/node/bin/node /opt/node/lib/node_modules/npm/bin/${name}-cli.js "$@"\n`,
        { mode: 0o755 },
      );
    mkdirSync(path);
    for (const name of readdirSync(checks)) cpSync(join(checks, name), join(path, name));
    cpSync(join(root, 'test/fixtures/version-0.1.0/runs/hint'), join(path, 'run'), { recursive: true });
    return new Project(this.root, path);
  }
}

/** An empty project within a system. */
class Project {
  constructor(system, path) {
    this.system = system;
    this.path = path;
  }

  /** Runs a command in the project, within the system alone: of this machine it sees the processor and the network. */
  run(command, parameters) {
    const script = 'cd /project && exec "$@"';
    // By its path, as the environment is the system's own.
    return spawnSync(
      '/usr/sbin/chroot',
      [this.system, '/bin/sh', '-c', script, 'sh', command, ...parameters],
      {
        encoding: 'utf8',
        env: { PATH: '/opt/node/bin:/usr/bin:/bin', HOME: '/root', CI: 'true' },
      },
    );
  }

  npm(parameters) {
    return this.run('npm', parameters);
  }
}
