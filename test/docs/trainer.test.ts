import { readFileSync } from 'node:fs';
import { join } from 'node:path';
import { expect, it } from 'vitest';
import { parseTrainingConfig } from '../../src/training/config/config.js';
import { root } from './citations.js';

const read = (path: string): string => readFileSync(join(root, path), 'utf8');
const page = read('docs/trainer.md');
const block = (language: string): string =>
  new RegExp(`\`\`\`${language}\n([^]*?)\`\`\``).exec(page)?.[1] ?? '';

it('the job on the page of the Trainer is the one that is run', () => {
  expect(JSON.parse(block('json'))).toEqual(JSON.parse(read('bench/side-by-side/job.json')));
  const program = read('bench/side-by-side/trainer.py');
  const settings = [...block('python').matchAll(/\w+=[^,()]+/g)].map(([setting]) => setting);
  expect(settings.length).toBeGreaterThan(10);
  expect(settings.filter((setting) => !program.includes(setting))).toEqual([]);
});

it('the settings on the page of the Trainer are settings of hint train', () => {
  const known = parseTrainingConfig({
    ...(JSON.parse(block('json')) as object),
    computeDtype: 'bf16',
    recompute: 'auto',
    epochs: 2,
    validation: { fraction: 0.1, patience: 2, every: 3, metric: 'loss' },
  }) as unknown as Record<string, unknown>;
  const column = [...page.matchAll(/^\| `.*? \| (`.*) \|$/gm)].map(([, cell]) => cell as string);
  const keys = column.flatMap((cell) =>
    [...cell.matchAll(/`([a-z]\w+(?:\.\w+)?)(?:=\w+)?`/g)].map(([, key]) => key!),
  );
  expect(keys).toContain('validation.patience');
  const has = (key: string): boolean =>
    key
      .split('.')
      .reduce<unknown>((at, name) => (at as Record<string, unknown> | undefined)?.[name], known) !==
    undefined;
  expect(keys.filter((key) => !has(key))).toEqual([]);
});
