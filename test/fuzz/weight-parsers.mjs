/** The parsers of published weights, as parsers.mjs has them. */
import { cpSync, readFileSync, writeFileSync } from 'node:fs';
import { dirname, join, resolve } from 'node:path';
import { mutateBytes, mutateJson } from './mutate.mjs';

const fixtures = resolve(import.meta.dirname, '..', 'fixtures');
const fixture = (...path) => readFileSync(join(fixtures, ...path));

async function readWeights(path) {
  const { openWeights } = await import('../../dist/formats/checkpoint/open-weights.js');
  const opened = await openWeights(path);
  try {
    for (const name of [...opened.tensors.keys()].slice(0, 50)) await opened.read(name);
  } finally {
    await opened.close();
  }
}

/** Puts instructions of pickles, and numbers, into the beginning of a file, where its pickle is; its length stays. */
function mutatePickle(random, bytes, words) {
  if (random.below(3) === 0) return mutateBytes(random, bytes, words);
  const result = Buffer.from(bytes);
  const [begin, end] = [40, Math.min(result.length, 5000)];
  for (let edits = 1 + random.below(4); edits > 0 && end > begin; edits--) {
    const at = begin + random.below(end - begin);
    const piece = random.of(['.', '(', '0', '1', ']', '}', 't', 'R', 'b', 'Q', 's', 'u', 'a', 'e', 'h\0', 'q\u0001', 'j\u00ff\u00ff\u00ff\u00ff', 'K\u00ff', 'J\u00ff\u00ff\u00ff\u00ff', '\u008a\u0008\u00ff\u00ff\u00ff\u00ff\u00ff\u00ff\u00ff\u007f', '\u008b\u00ff\u00ff\u00ff\u007f', 'X\u00ff\u00ff\u00ff\u007f', '\u0093', '\u0081', '\u0094', ...words]); // prettier-ignore
    result.write(piece, at, 'latin1');
  }
  return result;
}

export const WEIGHT_PARSERS = {
  torch: {
    file: 'weights.bin',
    mutate: mutatePickle,
    words: [
      'collections\nOrderedDict\n',
      'torch._utils\n_rebuild_tensor_v2\n',
      'ctorch\nFloatStorage\n',
      'posix\nsystem\n',
      'byteorder',
      'data.pkl',
    ],
    seeds: () =>
      ['zip.bin', 'legacy.bin', 'untyped.bin', 'zip-protocol-4.bin'].map((name) =>
        fixture('weights', 'torch', name),
      ),
    run: readWeights,
  },
  'torch-shards': {
    file: 'pytorch_model.bin.index.json',
    mutate: mutateJson,
    words: ['../zip.bin', 'zip.bin', '__proto__'],
    seeds: () => [
      Buffer.from(JSON.stringify({ metadata: {}, weight_map: { f32: 'zip.bin', row: 'zip.bin' } })),
    ],
    async run(file) {
      writeFileSync(join(dirname(file), 'zip.bin'), fixture('weights', 'torch', 'zip.bin'));
      return readWeights(file);
    },
  },
  flax: {
    file: 'flax_model.msgpack',
    mutate: mutateBytes,
    words: [
      '\u00a6params',
      '\u00a7float32',
      '\u00b9__msgpack_chunked_array__',
      '\u00dd\u00ff\u00ff\u00ff\u00ff',
      '\u0081\u00a1a',
    ],
    seeds: () => [
      fixture('weights', 't5', 'flax', 'flax_model.msgpack'),
      fixture('weights', 't5', 'flax-shards', 'flax_model-00001-of-00002.msgpack'),
    ],
    run: readWeights,
  },
  t5x: {
    file: 'checkpoint',
    mutate: mutateBytes,
    words: ['\u00a6target', '\u00a6driver', '\u00a4zarr', 'PLACEHOLDER://', '..', '/'],
    seeds: () => [fixture('weights', 't5', 't5x', 'checkpoint_1000', 'checkpoint')],
    async run(file) {
      const { readConfigFile } = await import('../../dist/model/config/config-file.js');
      const { parseModelConfig } = await import('../../dist/model/config/config.js');
      cpSync(join(fixtures, 'weights', 't5', 't5x', 'checkpoint_1000'), dirname(file), {
        recursive: true,
        force: false,
      });
      await readWeights(dirname(file));
      const { config, path } = await readConfigFile(dirname(file));
      return parseModelConfig(config, path);
    },
  },
  zarr: {
    file: 'target.token_embedder.embedding/.zarray',
    mutate: mutateJson,
    words: ['<f4', '>f4', 'bfloat16', 'gzip', 'blosc', 'F', '/', '1e999'],
    seeds: () => [
      fixture('weights', 't5', 't5x', 'checkpoint_1000', 'target.token_embedder.embedding', '.zarray'),
    ],
    async run(file) {
      const directory = resolve(dirname(file), '..');
      cpSync(join(fixtures, 'weights', 't5', 't5x', 'checkpoint_1000'), directory, {
        recursive: true,
        force: false,
      });
      return readWeights(directory);
    },
  },
};
