import { readdirSync, readFileSync } from 'node:fs';
import { dirname, join, relative, resolve } from 'node:path';
import { describe, expect, it } from 'vitest';
import { cycleIn } from './import-cycles.js';

const root = resolve(import.meta.dirname, '..');
const source = join(root, 'src');

// A folder may import those of lower levels, and its own. util/ is below everything.
const levels: Record<string, number> = {
  cli: 10,
  reproduce: 9,
  benchmark: 8,
  demo: 8,
  training: 7,
  server: 7,
  evaluation: 6,
  testing: 6,
  inference: 5,
  accounting: 4,
  systems: 3,
  model: 3,
  data: 2,
  distributed: 2,
  formats: 1,
  tensor: 1,
  util: 0,
};
// The only way between folders of one level.
const peers = new Set(['systems>model']);

function files(folder: string, endings: string[]): string[] {
  return readdirSync(folder, { recursive: true, encoding: 'utf8' })
    .map((name) => join(folder, name))
    .filter((name) => endings.some((ending) => name.endsWith(ending)));
}

function folderOf(file: string): string {
  const parts = relative(source, file).split('/');
  return parts.length === 1 ? '' : (parts[0] ?? '');
}

function imports(file: string): string[] {
  return [...readFileSync(file, 'utf8').matchAll(/(?:from|import)\s+'(\.[^']+)'/g)].map((match) =>
    resolve(dirname(file), (match[1] ?? '').replace(/\.js$/, '.ts')),
  );
}

describe('architecture', () => {
  it('imports go one way, from the command line down to tensors', () => {
    const wrong: string[] = [];
    for (const file of files(source, ['.ts'])) {
      const from = folderOf(file);
      if (from === '') continue;
      for (const imported of imports(file)) {
        const to = folderOf(imported);
        if (to === '' || to === from) continue;
        const up = (levels[from] ?? -1) < (levels[to] ?? 99);
        const sideways = levels[from] === levels[to] && !peers.has(`${from}>${to}`);
        if (up || sideways) wrong.push(`${relative(root, file)} imports ${relative(root, imported)}`);
      }
    }
    expect(wrong).toEqual([]);
  });

  it.each([
    ['file', (file: string) => relative(source, file)],
    ['folder', (file: string) => dirname(relative(source, file))],
  ])('no %s imports itself by way of others, for types alone either', (_, nameOf) => {
    const graph = new Map<string, Set<string>>();
    for (const file of files(source, ['.ts'])) {
      const own = nameOf(file);
      const others = imports(file)
        .map(nameOf)
        .filter((name) => name !== own);
      graph.set(own, new Set([...(graph.get(own) ?? []), ...others]));
    }
    expect(graph.size).toBeGreaterThan(20);
    expect(cycleIn(graph)).toEqual([]);
  });

  it('every folder of src has a level', () => {
    const folders = readdirSync(source, { withFileTypes: true }).filter((entry) => entry.isDirectory());
    expect(folders.map(({ name }) => name).filter((name) => !(name in levels))).toEqual([]);
  });

  it('the model never names a device, and native code never names the model or Node', () => {
    const inModel = files(join(source, 'model'), ['.ts']).filter((file) =>
      /['"`](cpu|cuda)['"`]/.test(readFileSync(file, 'utf8')),
    );
    const inNative = files(join(root, 'native'), ['.cc', '.h', '.cu']).filter((file) =>
      /napi|node_api|hyperencoder|SelfAttention|EncDecAttention/.test(readFileSync(file, 'utf8')),
    );
    expect([...inModel, ...inNative]).toEqual([]);
  });

  it('nothing is printed but through the functions that escape control characters', () => {
    // Workers are processes of their own whose output is read as JSON by the one that started them.
    const workers = [
      'benchmark/onnx-worker.ts',
      'benchmark/scaling/scaling-worker.ts',
      'benchmark/serve/answer-lines.ts',
    ];
    const allowed = ['cli/support/output.ts', ...workers].map((name) => join(source, name));
    const printing = files(source, ['.ts']).filter((file) =>
      readFileSync(file, 'utf8')
        .split('\n')
        .some((line) => !/^\s*(\*|\/\/)/.test(line) && /\bstd(out|err)\.write\b|\bconsole\./.test(line)),
    );
    expect(printing.filter((file) => !allowed.includes(file))).toEqual([]);
  });

  it('nothing but the families asks what family a model is of', () => {
    const own = ['model/', 'inference/encoder-decoder/', 'inference/decoder-only/', 'systems/'];
    const asking = files(source, ['.ts']).filter((file) => {
      const text = readFileSync(file, 'utf8');
      return (
        !own.some((folder) => relative(source, file).startsWith(folder)) &&
        /instanceof (HintModel|T5Model|EncoderDecoderModel|DecoderOnlyModel)|DecoderOnly(Model|Config|Family)\b|family\.name ===|\.family \?/.test(
          text,
        )
      );
    });
    // Counts what its formulas say of one architecture.
    expect(asking.map((file) => relative(source, file))).toEqual(['accounting/decoder-only-flops.ts']);
  });

  it('no source file grows past 500 lines', () => {
    const long = [
      ...files(source, ['.ts']),
      ...files(join(root, 'native'), ['.cc', '.h', '.cu']),
      ...files(join(root, 'bindings'), ['.cc', '.h']),
    ].filter((file) => readFileSync(file, 'utf8').split('\n').length > 501);
    expect(long).toEqual([]);
  });
});
