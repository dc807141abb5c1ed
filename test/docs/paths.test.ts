import { describe, expect, it } from 'vitest';
import { pages, wrongPaths } from './paths.js';

describe('paths on pages', () => {
  it('every path and every link of README and docs leads somewhere', () => {
    const all = pages();
    expect(all.length).toBeGreaterThan(10);
    expect(
      all.flatMap(({ name, text }) => wrongPaths(name, text).map((wrong) => `${name}: ${wrong}`)),
    ).toEqual([]);
  });

  it.each([
    'a file: `src/index.ts`, and a folder: `native/core`, `src/model/`.',
    'a glob: `src/training/*` and `native/core/{tensor,call}.h`',
    'a placeholder: `native/ops/<op>/cpu.cc`',
    'links: [here](#laws), [there](cuda.md#dtypes), [up](../README.md), [out](https://example.com/src/nowhere)',
    'what is no path of ours: runs/src/hint, build/native/tests, and/or, int8/bf16',
    'made by a build: `docs/api`',
    'made by the reader, with its folder `src/new`:\n\nNew file `src/new/file.ts`:',
  ])('accepts %s', (text) => expect(wrongPaths('docs/architecture.md', text)).toEqual([]));

  it.each([
    'a file: `src/nowhere.ts`',
    'a folder: native/nowhere/',
    'in a sentence: see test/nowhere.test.ts.',
    'in a command: npx vitest run test/nowhere.test.ts',
    'a glob: `src/nowhere/*`',
    'a placeholder: `native/ops/<op>/nowhere.cc`',
    'a page: [there](nowhere.md)',
    'a heading: [there](cuda.md#nowhere)',
    'a heading of its own: [here](#nowhere)',
    'beyond the repository: [there](../../README.md)',
    'a script: scripts/nowhere.mjs',
    'a result: bench/results/nowhere.json',
    'continuous integration: .ci/nowhere',
    'a script of another program: `src/nowhere.py`',
    'beside a file that the reader makes: src/new/other.ts\n\nNew file `src/new/file.ts`:',
  ])('refuses %s', (text) => expect(wrongPaths('docs/architecture.md', text)).toHaveLength(1));

  it('takes scripts that the method names for those of the program it describes', () => {
    expect(wrongPaths('docs/method.md', '`scripts/eval/*.sh` and `src/{a,b}.py`')).toEqual([]);
    expect(wrongPaths('docs/method.md', '`src/nowhere.ts`')).toHaveLength(1);
  });
});
