import { spawnSync } from 'node:child_process';
import { readFileSync } from 'node:fs';
import { join } from 'node:path';
import { describe, expect, it } from 'vitest';
import { openTiny, serve } from '../server/served.js';
import { root } from './citations.js';

const page = readFileSync(join(root, 'docs/serve.md'), 'utf8');

/** The requests that the page makes with curl. */
function requests(): {
  path: string;
  type: string | undefined;
  method: string;
  body: string | undefined;
  from: string | undefined;
  to: string | undefined;
}[] {
  return [
    ...page.matchAll(
      /^curl http:\/\/127\.0\.0\.1:8080(\S+)(?: -H 'Content-Type: ([^']*)')?(?: -d '([^']*)')?(?: --data-binary @(\S+))?(?: -X (\w+))?(?: -o (\S+))?$/gm,
    ),
  ].map(([, path = '', type, body, from, method, to]) => ({
    path,
    type,
    body,
    from,
    to,
    method: method ?? ((body ?? from) === undefined ? 'GET' : 'POST'),
  }));
}

describe('docs/serve.md', () => {
  it('has requests that are answered, in their order', async () => {
    const { url } = await serve(await openTiny(), { model: 'hint' });
    const all = requests();
    expect(all.length).toBe(page.match(/^curl /gm)?.length);
    const files = new Map<string, ArrayBuffer>();
    for (const { path, type, method, body: text, from, to } of all) {
      const headers = type === undefined ? {} : { 'content-type': type };
      const body = from === undefined ? text : files.get(from);
      const response = await fetch(url + path, { method, headers, ...(body === undefined ? {} : { body }) });
      expect([path, response.status]).toEqual([path, /^\/v1\/tasks(?:\/file)?$/.test(path) ? 201 : 200]);
      const came = await response.arrayBuffer();
      if (to !== undefined) files.set(to, came);
    }
  });

  it('has an application that serves, in a process that imports the package by its name', () => {
    const [, code = ''] = /```ts\n(import Fastify[^]*?)```/.exec(page) ?? [];
    const model = join(root, 'test/fixtures/version-0.1.0/runs/hint/model');
    const program = code
      .replace("'runs/demo/hint/model'", JSON.stringify(model))
      .replace(
        'await app.listen({ port: 3000 });',
        "console.log((await app.inject('/hint/v1/models')).json().data[0].id);",
      )
      .concat('await app.close(); await engine.close();');
    expect(program).toContain('inject');
    const { status, stdout, stderr } = spawnSync(
      process.execPath,
      ['--input-type=module', '--eval', program],
      {
        cwd: root,
        encoding: 'utf8',
      },
    );
    expect({ status, stdout, stderr }).toEqual({ status: 0, stdout: 'hint\n', stderr: '' });
  });

  it('names limits that are those of the code', async () => {
    const { DEFAULT_LIMITS } = await import('../../src/server/answering/limits.js');
    const { instructionTokens, inputTokens, requests, seconds, bodyBytes, taskFileBytes, answers, tasks } =
      DEFAULT_LIMITS;
    const shown = (value: number): string => value.toLocaleString('en');
    for (const row of [
      `(\`--max-instruction-tokens\`) | ${shown(instructionTokens)} |`,
      `(\`--max-input-tokens\`) | ${shown(inputTokens)} |`,
      `examples of an instruction | ${DEFAULT_LIMITS.examples} |`,
      `that wait (1,024) | ${shown(requests)} |`,
      `(\`--timeout\`) | ${seconds} |`,
      `| ${bodyBytes / 2 ** 20} MiB; task files ${taskFileBytes / 2 ** 30} GiB |`,
      `| ${answers}; ${shown(tasks)} |`,
      `which stay on the device | ${DEFAULT_LIMITS.trainedTasks} |`,
    ])
      expect(page).toContain(row);
  });

  it('has a unit whose command is one of this package', () => {
    const [, unit = ''] = /```ini\n([^]*?)```/.exec(page) ?? [];
    const [, command = ''] =
      /^ExecStart=\/usr\/bin\/node \/opt\/hint\/node_modules\/\.bin\/(\S+) serve /m.exec(unit) ?? [];
    const { bin } = JSON.parse(readFileSync(join(root, 'package.json'), 'utf8')) as {
      bin: Record<string, string>;
    };
    expect(Object.keys(bin)).toContain(command);
    expect(page).toContain(`ENTRYPOINT ["node", "node_modules/.bin/${command}", "serve"]`);
    expect(page).toContain(`ENTRYPOINT ["node", "${bin[command]}", "serve"]`);
  });
});
