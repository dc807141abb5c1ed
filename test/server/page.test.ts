import { readdir, readFile, stat } from 'node:fs/promises';
import { join } from 'node:path';
import { gzipSync } from 'node:zlib';
import Fastify from 'fastify';
import { beforeAll, describe, expect, it } from 'vitest';
import type { Engine } from '../../src/index.js';
import { hintPlugin, type RunningServer } from '../../src/server/index.js';
import { packageRoot } from '../../src/util/package-root.js';
import { openTiny, serve } from './served.js';

const folder = join(packageRoot(), 'dist/bundle/page');
let engine: Engine;
let server: RunningServer;

beforeAll(async () => {
  engine = await openTiny();
  server = await serve(engine);
});

describe('the page', () => {
  it('is sent with all that it loads, and may load nothing from elsewhere', async () => {
    const response = await fetch(`${server.url}/`);
    expect(response.headers.get('content-type')).toBe('text/html; charset=utf-8');
    const policy = response.headers.get('content-security-policy') ?? '';
    expect(policy).toContain("default-src 'none'; script-src 'self'; style-src 'self'");
    expect(policy).not.toMatch(/unsafe|\*|http/);
    const html = await response.text();
    const loaded = [...html.matchAll(/(?:src|href)="([^"]*)"/g)].map(([, path = '']) => path);
    expect(loaded.length).toBe(3);
    for (const path of loaded) {
      const file = await fetch(new URL(path, `${server.url}/`));
      expect([path, file.status, file.headers.get('x-content-type-options')]).toEqual([path, 200, 'nosniff']);
      expect(file.headers.get('content-type')).toMatch(
        /^(text\/(javascript|css); charset=utf-8|image\/svg\+xml)$/,
      );
      expect(file.headers.get('cache-control')).toContain('immutable');
    }
  });

  it('takes at most 60 kB compressed', async () => {
    let bytes = 0;
    for (const name of await readdir(folder, { recursive: true }))
      if ((await stat(join(folder, name))).isFile())
        bytes += gzipSync(await readFile(join(folder, name))).length;
    expect(bytes).toBeGreaterThan(5000);
    expect(bytes).toBeLessThan(60_000);
  });

  it.each(['none.js', '..%2F..%2F..%2Fpackage.json', '%2Fetc%2Fpasswd'])('has no file %s', async (name) => {
    const response = await fetch(`${server.url}/page/${name}`);
    expect(response.status).toBe(404);
    expect(await response.json()).toMatchObject({ error: { code: 'not_found' } });
  });

  it('is there under the prefix of an application, with paths that stay below it', async () => {
    const app = Fastify();
    await app.register(hintPlugin, { engine, prefix: '/hint' });
    const { statusCode, body } = await app.inject('/hint/');
    expect(statusCode).toBe(200);
    const [, script = ''] = /src="\.\/([^"]*)"/.exec(body) ?? [];
    expect((await app.inject(`/hint/${script}`)).statusCode).toBe(200);
    await app.close();
  });
});
