import { spawnSync } from 'node:child_process';
import { readFileSync } from 'node:fs';
import { join } from 'node:path';
import { expect, it } from 'vitest';
import { root } from './citations.js';

it('the first code that a newcomer copies from README runs, once the demo has made its model', () => {
  const [, code = ''] = /```js\n([^]*?)```/.exec(readFileSync(join(root, 'README.md'), 'utf8')) ?? [];
  const made = "'runs/demo/hint/model'";
  expect(code).toContain(made);
  const model = join(root, 'test/fixtures/version-0.1.0/runs/hint/model');
  const program = code
    .replace(made, JSON.stringify(model))
    .replace('answers[0].text', 'typeof answers[0].text');
  // The package finds itself by name from its own folder.
  const { status, stdout, stderr } = spawnSync(process.execPath, ['--input-type=module', '--eval', program], {
    cwd: root,
    encoding: 'utf8',
  });
  expect({ status, stdout, stderr }).toEqual({ status: 0, stdout: 'string\n', stderr: '' });
});
