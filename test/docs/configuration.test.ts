import { readFile } from 'node:fs/promises';
import { join } from 'node:path';
import { beforeAll, describe, expect, it } from 'vitest';
import * as config from '../../src/training/config/config.js';
import * as update from '../../src/training/config/update-config.js';
import { packageRoot } from '../../src/util/package-root.js';
// @ts-expect-error: a script has no types
import { configPage } from '../../scripts/config-page/page.mjs';

const root = packageRoot();

describe('docs/configuration.md', () => {
  let made: { text: string; undocumented: string[] };
  beforeAll(() => {
    made = (configPage as (root: string, schemas: object) => typeof made)(root, { ...config, ...update });
  }, 120_000);

  it('is what node scripts/config-page.mjs writes', async () => {
    expect(await readFile(join(root, 'docs/configuration.md'), 'utf8')).toBe(made.text);
  });

  it('says of every key what it is', () => {
    expect(made.undocumented).toEqual([]);
  });

  it('has the keys of every kind of data and of every optimizer, with their ranges and defaults', () => {
    const { text } = made;
    for (const title of [
      '`data`, kind `sni`',
      '`data`, kind `text`',
      '`validation.data`',
      '`optimizer`, name `adamw`',
      '`optimizer.groups.NAME`, name `adafactor`',
      '`model.hint`',
    ])
      // prettier-ignore
      expect(text).toContain(`## ${title}\n`);
    expect(text).toMatch(/\| `batchSize` \| whole number from 1 \| `1024` \| /);
    expect(text).toMatch(/\| `dropout` \| number from 0 below 1 \| `0.1` \| /);
    expect(text).toMatch(/\| `schedule` \| `constant`, `linear`, `cosine`, `inverse-sqrt` \| `constant` \| /);
    expect(text).toMatch(/\| `directory` \| text \| needed \| /);
  });
});
