import { existsSync, readdirSync, readFileSync } from 'node:fs';
import { basename, dirname, join, resolve } from 'node:path';
import { describe, expect, it } from 'vitest';
import { cycleIn } from './import-cycles.js';

const root = resolve(import.meta.dirname, '..');

// A folder may include its own files and those of folders on lower levels. A folder that is not named here belongs to the
// one above it, and every folder of native/ops but common is the folder of an op.
const levels: Record<string, number> = {
  'native/core': 0,
  'native/runtime': 1,
  'native/math': 2,
  'native/collectives': 3,
  'native/runtime/cpu': 3,
  'native/runtime/cuda': 3,
  'native/collectives/nccl': 4,
  'native/ops/common': 4,
  'native/ops/common/cuda': 5,
  'native/ops': 6,
  'native/tests': 7,
  'native/bench': 8,
  bindings: 7,
};
// Ops are peers: these are the only ways between them.
const ways = new Set(['native/ops/decode_attention>native/ops/attention']);

interface Include {
  from: string;
  to: string;
}

function sources(folder: string): string[] {
  return readdirSync(join(root, folder), { recursive: true, encoding: 'utf8' })
    .filter((name) => /\.(h|cc|cu|cuh|def)$/.test(name))
    .map((name) => `${folder}/${name}`);
}

const files = [...sources('native'), ...sources('bindings')];
const includes: Include[] = files.flatMap((from) =>
  [...readFileSync(join(root, from), 'utf8').matchAll(/^#include "([^"]+)"/gm)].map((match) => ({
    from,
    to: match[1] ?? '',
  })),
);

/** The folder of {@link levels} that a file belongs to. */
function roomOf(file: string): string {
  let folder = dirname(file);
  while (!(folder in levels) && folder !== '.') folder = dirname(folder);
  return folder;
}

/** `native/ops/linear` of a file of that op. */
function opOf(file: string): string | undefined {
  return roomOf(file) === 'native/ops' ? file.split('/').slice(0, 3).join('/') : undefined;
}

function graphOf(nameOf: (file: string) => string): Map<string, Set<string>> {
  const graph = new Map<string, Set<string>>();
  for (const file of files) graph.set(nameOf(file), new Set());
  for (const { from, to } of includes)
    if (nameOf(from) !== nameOf(to)) graph.get(nameOf(from))?.add(nameOf(to));
  return graph;
}

describe('native architecture', () => {
  it('every include names a file from the root, so that none escapes these tests', () => {
    expect(includes.length).toBeGreaterThan(300);
    expect(includes.filter(({ to }) => !existsSync(join(root, to)))).toEqual([]);
  });

  it('every folder has a level', () => {
    expect(files.filter((file) => roomOf(file) === '.')).toEqual([]);
  });

  it('includes go one way, from bindings, tests and bench down to the core', () => {
    const wrong = includes.filter(({ from, to }) => {
      const [above, below] = [roomOf(from), roomOf(to)];
      return above !== below && (levels[above] ?? -1) <= (levels[below] ?? 99);
    });
    expect(wrong).toEqual([]);
  });

  it('no op includes another, but for attention, which decoding uses', () => {
    const wrong = includes.filter(({ from, to }) => {
      const [reader, read] = [opOf(from), opOf(to)];
      return reader && read && reader !== read && !ways.has(`${reader}>${read}`);
    });
    expect(wrong).toEqual([]);
  });

  it('no file includes itself by a detour', () => {
    expect(cycleIn(graphOf((file) => file))).toEqual([]);
  });

  it('no folder includes itself by a detour', () => {
    expect(cycleIn(graphOf((file) => dirname(file)))).toEqual([]);
  });

  it('a cycle is found wherever it hides', () => {
    const graph = new Map(Object.entries({ a: new Set(['b', 'c']), b: new Set<string>(), c: new Set(['d']), d: new Set(['c']) })); // prettier-ignore
    expect(cycleIn(graph)).toEqual(['c', 'd', 'c']);
  });

  it('every op has the folder, the files and the names that its row of the table says, and every folder of an op has a row', () => {
    const table = readFileSync(join(root, 'native/core/table.def'), 'utf8');
    const rows = [...table.matchAll(/^HINT_OP(_CPU_ONLY)?\((\w+)\)$/gm)].map(([, only, name]) => ({
      name: name ?? '',
      cuda: only === undefined,
    }));
    const folders = readdirSync(join(root, 'native/ops')).filter((name) => name !== 'common');
    expect(rows.map(({ name }) => name).sort()).toEqual(folders.sort());
    expect(rows.flatMap(({ name, cuda }) => missingOf(name, cuda))).toEqual([]);
  });
});

/** What an op lacks of the files and names that follow from its row, or has against it. */
function missingOf(name: string, cuda: boolean): string[] {
  const folder = `native/ops/${name}/`;
  const own = files.filter((file) => file.startsWith(folder));
  const textOf = (chosen: string[]): string =>
    chosen.map((file) => readFileSync(join(root, file), 'utf8')).join('\n');
  const kernels = own.filter((file) => file.endsWith('.cu'));
  const missing: string[] = [];
  const expectText = (file: string, text: string): void => {
    if (!textOf(own.filter((one) => one === folder + file)).includes(text))
      missing.push(`${folder}${file} lacks: ${text}`);
  };
  expectText(`${name}.h`, `namespace hint::${name} {`);
  expectText(`${name}.cc`, `OpSpec declare_${name}() {`);
  expectText(`${name}.cc`, `op.name = "${name}";`);
  expectText('reference.cc', `OpReference reference_${name}() {`);
  if (!own.some((file) => /^cpu(\.cc$|\/)/.test(file.slice(folder.length))))
    missing.push(`${folder} has neither cpu.cc nor cpu/`);
  if (cuda && !textOf(kernels).includes(`Kernels cuda_${name}() {`))
    missing.push(`${folder}cuda.cu lacks: Kernels cuda_${name}() {; or else the row is HINT_OP_CPU_ONLY`);
  if (!cuda && kernels.length > 0)
    missing.push(`${folder} has ${basename(kernels[0] ?? '')}, but its row is HINT_OP_CPU_ONLY`);
  return missing;
}
