import { execFile } from 'node:child_process';
import { mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join, resolve } from 'node:path';
import { promisify } from 'node:util';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';

const run = promisify(execFile);
const root = resolve(import.meta.dirname, '..', '..');
const compiler = process.env['CXX'] ?? 'c++';

const table = readFileSync(join(root, 'native/core/table.def'), 'utf8');
const promised = [...table.matchAll(/^HINT_OP\((\w+)\)$/gm)].map((match) => match[1] ?? '');
/** What the CUDA library is linked with. */
const link = /target_link_options\(hint_cuda PRIVATE ([^)]*)\)/.exec(
  readFileSync(join(root, 'native/runtime/cuda/CMakeLists.txt'), 'utf8'),
)?.[1];

let folder = '';

/** Links the look-up of CUDA kernels with functions of these names. */
async function linkLookup(names: readonly string[]): Promise<void> {
  const kernels = names.map((name) => `Kernels cuda_${name}() { return {}; }`).join('\n');
  const source = join(folder, 'kernels_of_ops.cc');
  writeFileSync(source, `#include "native/core/op_spec.h"\nnamespace hint {\n${kernels}\n}\n`);
  const options = ['-std=c++20', '-O0', '-fPIC', `-I${root}`, '-shared', ...(link ?? '').split(' ')];
  await run(compiler, [...options, join(root, 'native/runtime/cuda/kernels.cc'), source, '-o', join(folder, 'lookup.so')]); // prettier-ignore
}

describe('the CUDA kernels of the op table', () => {
  beforeAll(() => {
    folder = mkdtempSync(join(tmpdir(), 'hint-kernels-'));
  });
  afterAll(() => rmSync(folder, { recursive: true, force: true }));

  it('are found by name, one function per row that promises them', async () => {
    expect(promised.length).toBeGreaterThan(20);
    await linkLookup(promised);
  }, 120_000);

  it('do not link when one is misspelt, so that no op silently has none', async () => {
    const names = promised.map((name) => (name === 'rms_norm' ? 'rmsnorm' : name));
    await expect(linkLookup(names)).rejects.toThrow(/cuda_rms_norm/);
  }, 120_000);
});
