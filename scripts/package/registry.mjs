// A registry on this machine that has the tarballs and asks npm's for all else.
import { spawn, spawnSync } from 'node:child_process';
import { existsSync, mkdirSync, openSync, readdirSync, rmSync, writeFileSync } from 'node:fs';
import { createServer } from 'node:net';
import { join } from 'node:path';
import { fail, run } from './run.mjs';

const VERSION = '6';

/** @param tarballs folder of what it has from the start */
export async function startRegistry(folder, tarballs) {
  const home = join(folder, 'registry');
  const program = join(home, 'node_modules/verdaccio/bin/verdaccio');
  if (!existsSync(program)) {
    mkdirSync(home, { recursive: true });
    // One of its plug-ins asks for a tag of this package that mirrors of npm's registry lack.
    const overrides = { 'node-fetch': '^2.7.0' };
    writeFileSync(join(home, 'package.json'), JSON.stringify({ private: true, overrides }));
    const install = [
      'install',
      '--no-save',
      '--no-audit',
      '--no-fund',
      '--ignore-scripts',
      `verdaccio@${VERSION}`,
    ];
    run('npm', install, { cwd: home });
  }
  rmSync(join(home, 'storage'), { recursive: true, force: true });
  const upstream = run('npm', ['config', 'get', 'registry']).trim();
  const open = { access: '$all', publish: '$all' };
  const config = {
    storage: join(home, 'storage'),
    uplinks: { npm: { url: upstream, cache: true } },
    // Ours are nowhere else: a name that is missing here must not come from elsewhere.
    packages: { '@hint-engine/*': open, 'hint-engine': open, '**': { access: '$all', proxy: 'npm' } },
    log: { type: 'stdout', level: 'warn' },
    max_body_size: '1gb',
  };
  // JSON is YAML.
  writeFileSync(join(home, 'config.yaml'), JSON.stringify(config));
  const port = await freePort();
  const log = openSync(join(home, 'log'), 'w');
  const child = spawn(
    process.execPath,
    [program, '--config', join(home, 'config.yaml'), '--listen', `127.0.0.1:${port}`],
    {
      stdio: ['ignore', log, log],
    },
  );
  const url = `http://127.0.0.1:${port}/`;
  const stop = () => child.kill();
  await answering(url, child);
  // npm publishes nothing without a token; this registry takes any.
  writeFileSync(join(home, '.npmrc'), `//127.0.0.1:${port}/:_authToken=none\n`);
  for (const name of readdirSync(tarballs).filter((file) => file.endsWith('.tgz'))) {
    const publish = [
      'publish',
      join(tarballs, name),
      '--registry',
      url,
      '--access',
      'public',
      '--tag',
      'latest',
    ];
    const { status, stderr } = spawnSync('npm', publish, { cwd: home, encoding: 'utf8' });
    if (status === 0) continue;
    stop();
    fail(`${name} cannot be published: ${stderr}`);
  }
  return { url, stop };
}

function freePort() {
  return new Promise((resolve) => {
    const server = createServer().listen(0, '127.0.0.1', () => {
      const { port } = server.address();
      server.close(() => resolve(port));
    });
  });
}

async function answering(url, child) {
  for (let tries = 0; tries < 300 && child.exitCode === null; tries++) {
    if (
      await fetch(`${url}-/ping`).then(
        ({ ok }) => ok,
        () => false,
      )
    )
      return;
    await new Promise((resolve) => setTimeout(resolve, 200));
  }
  child.kill();
  fail('The registry does not answer; see build-package/registry/log.');
}
