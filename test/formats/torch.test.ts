import { readdirSync } from 'node:fs';
import { mkdtemp, readFile, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join, resolve } from 'node:path';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { openWeights } from '../../src/formats/checkpoint/open-weights.js';
import { openSafetensors } from '../../src/formats/safetensors/file.js';
import type { WeightFile } from '../../src/formats/weights/weight-file.js';

const fixtures = resolve(import.meta.dirname, '..', 'fixtures', 'weights');
const torch = (name: string): string => join(fixtures, 'torch', name);

let directory: string;
beforeAll(async () => {
  directory = await mkdtemp(join(tmpdir(), 'hint-torch-'));
});
afterAll(() => rm(directory, { recursive: true, force: true }));

/** Every tensor of a file as text, by name. */
async function contents(file: WeightFile): Promise<Map<string, string>> {
  const all = new Map<string, string>();
  for (const { name, dtype, shape } of file.tensors.values()) {
    const bytes = Buffer.from(await file.read(name));
    const parts: Uint8Array[] = [];
    for await (const piece of file.pieces(name)) parts.push(Buffer.from(piece));
    expect(Buffer.concat(parts).equals(bytes), `${name} in pieces`).toBe(true);
    all.set(name, `${dtype} [${shape.join(', ')}] ${bytes.toString('hex')}`);
  }
  return all;
}

async function sortedContents(path: string): Promise<[string, string][]> {
  await using file = await openWeights(path);
  return [...(await contents(file))].sort(([a], [b]) => (a < b ? -1 : 1));
}

describe('what torch.save wrote', () => {
  it.each([
    'zip',
    'zip-protocol-4',
    'legacy',
    'legacy-protocol-3',
    'legacy-protocol-5',
    'state_dict',
    'model-legacy',
  ])('%s holds the bits that torch holds, whatever dtype, stride, offset or wrapper', async (name) => {
    await using values = await openSafetensors(torch('values.safetensors'));
    const expected = [...(await contents(values))].sort(([a], [b]) => (a < b ? -1 : 1));
    expect(expected.length).toBeGreaterThan(25);
    expect(await sortedContents(torch(`${name}.bin`))).toEqual(expected);
  });

  it('tells which names are one tensor', async () => {
    await using file = await openWeights(torch('zip.bin'));
    expect([...file.aliases]).toEqual([['same', 'base']]);
  });

  it('gives the place of a tensor in the file only where it lies there row by row', async () => {
    await using file = await openWeights(torch('zip.bin'));
    const bytes = await readFile(torch('zip.bin'));
    for (const name of ['base', 'row', 'offset']) {
      const { position } = file.locate(name)!;
      const held = Buffer.from(await file.read(name));
      expect(bytes.subarray(position, position + held.length).equals(held)).toBe(true);
    }
    for (const name of ['transposed', 'column', 'expanded']) expect(file.locate(name)).toBeUndefined();
  });

  it('reads element types that have no storage class of their own', async () => {
    await using file = await openWeights(torch('untyped.bin'));
    expect(file.tensors.get('u16')?.dtype).toBe('U16');
    expect(file.tensors.get('f8')?.dtype).toBe('F8_E4M3');
    expect([...(await file.read('u16'))]).toEqual([0, 0, 1, 0, 255, 255]);
  });

  it.each(readdirSync(join(fixtures, 'refused')))(
    '%s is refused by the name of what it holds',
    async (name) => {
      const expected: Record<string, RegExp> = {
        'posix.system-legacy.bin': /posix\.system.*refused.*nothing in it is run/,
        'torch._utils._rebuild_qtensor.bin': /_rebuild_qtensor.*quantised/,
        'torch._utils._rebuild_sparse_tensor.bin': /_rebuild_sparse_tensor.*sparse.*save them dense/,
        'torch.nn.modules.linear.Linear.bin': /Linear.*model\.state_dict\(\)/,
        'numpy.bin': /numpy\S+, which is refused/,
        'overlap.bin': /"overlap".*elements overlap/,
        'no-names.bin': /no tensors by name/,
        'two-models.bin': /several models/,
        'tensors-beside.bin': /tensors beside a "inner"/,
      };
      const message = expected[name] ?? new RegExp(name.replace(/\.bin$/, '').replaceAll('.', '\\.'));
      const opening = openWeights(join(fixtures, 'refused', name));
      await expect(opening).rejects.toThrow(message);
      await expect(opening).rejects.toMatchObject({
        code: expect.stringMatching(/NOT_SUPPORTED|INVALID_CHECKPOINT/) as string,
      });
    },
  );

  it.each(['zip.bin', 'legacy.bin'])('%s cut off at any place is refused in a sentence', async (name) => {
    const bytes = await readFile(torch(name));
    const path = join(directory, 'cut.bin');
    for (let length = 1; length < bytes.length; length += 997) {
      await writeFile(path, bytes.subarray(0, length));
      await expect(openWeights(path), `${length} bytes`).rejects.toMatchObject({
        code: 'INVALID_CHECKPOINT',
      });
    }
  });
});
