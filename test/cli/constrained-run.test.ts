import { execFile } from 'node:child_process';
import { mkdtemp, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join, resolve } from 'node:path';
import { afterAll, beforeAll, expect, it } from 'vitest';
import { writeTinyModel } from '../../src/testing/index.js';

const main = resolve(import.meta.dirname, '../../dist/bundle/cli/main.js');
let folder: string;

beforeAll(async () => {
  folder = await mkdtemp(join(tmpdir(), 'hint-constrained-'));
  await writeTinyModel(join(folder, 'model'));
  await writeFile(
    join(folder, 'colour.json'),
    JSON.stringify({
      type: 'object',
      properties: { colour: { enum: ['red', 'blue'] } },
      required: ['colour'],
      additionalProperties: false,
    }),
  );
  await writeFile(join(folder, 'list.json'), '[]');
});
afterAll(() => rm(folder, { recursive: true, force: true }));

function run(...flags: string[]): Promise<{ code: number; stdout: string; stderr: string }> {
  const asked = [
    'run',
    join(folder, 'model'),
    '--definition',
    'Name the colour.',
    '--input',
    'A hat.',
    ...flags,
  ];
  return new Promise((done) => {
    const child = execFile(process.execPath, [main, ...asked], (error, stdout, stderr) =>
      done({ code: typeof error?.code === 'number' ? error.code : 0, stdout, stderr }),
    );
    child.stdin?.end();
  });
}

it.each([
  [['--choices', 'dark red', '--choices', 'blue'], /^(dark red|blue)\n$/],
  [['--regex', '[0-9]{2}-[a-c]{3}'], /^[0-9]{2}-[a-c]{3}\n$/],
  [['--json-schema', 'colour.json', '--stream'], /^\{"colour": "(red|blue)"\}\n+$/],
])('an output is held to %j', async (flags, expected) => {
  const { stdout, stderr, code } = await run(
    ...flags.map((flag) => (flag.endsWith('.json') ? join(folder, flag) : flag)),
  );
  expect([code, stderr]).toEqual([0, '']);
  expect(stdout).toMatch(expected);
});

it.each([
  [
    ['--choices', 'red', '--regex', 'a'],
    /constrain has 2 of choices, regex and jsonSchema; give one of them/,
  ],
  [['--regex', '(?=a)b'], /Lookahead is not supported/],
  [['--regex', 'a', '--num-beams', '2'], /constrain does not go with beam search/],
  [['--json-schema', 'nowhere.json'], /No file .*nowhere\.json; check the path of the schema/],
  [['--json-schema', 'list.json'], /list\.json holds no JSON schema, which is an object/],
])('%j is one sentence and a failing exit code', async (flags, sentence) => {
  const { stderr, code } = await run(
    ...flags.map((flag) => (flag.endsWith('.json') ? join(folder, flag) : flag)),
  );
  expect(code).toBeGreaterThan(0);
  expect(stderr).toMatch(sentence);
  expect(stderr).not.toMatch(/\n\s+at /);
});
