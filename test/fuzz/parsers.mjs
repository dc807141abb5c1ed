/**
 * Every parser of foreign files: its first inputs, how they are changed, and the function that is called. `run` gets a
 * folder with the input as `file`; any returned value counts as success.
 */
import { createHash } from 'node:crypto';
import { cpSync, existsSync, mkdirSync, readdirSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { dirname, join, resolve } from 'node:path';
import { gunzipSync, gzipSync } from 'node:zlib';
import { PREPARE_PARSERS } from './prepare-parsers.mjs';
import { WEIGHT_PARSERS } from './weight-parsers.mjs';
import { mutateBytes, mutateJson, mutateLines, mutateSafetensors, mutateText } from './mutate.mjs';
import { plainParquet } from './plain-parquet.mjs';
import { EXPRESSIONS, WORDS, YAML } from './words.mjs';

const root = resolve(import.meta.dirname, '..', '..');
const fixtures = join(root, 'test', 'fixtures');
const fixture = (...path) => readFileSync(join(fixtures, ...path));
const small = (bytes, most = 60_000) => bytes.subarray(0, most);

const sniTask = fixture('sni', 'tasks', 'task2012_trec_question_type_classification.json');
const shortTask = Buffer.from(
  JSON.stringify({ ...JSON.parse(sniTask), Instances: JSON.parse(sniTask).Instances.slice(0, 6) }),
);
const predictions = Buffer.from(
  [
    '{"id":"task1-a","prediction":"Yes, it is.","task":"task1_x","references":["yes it is","no"]}',
    '{"Task":"task2_y","Instance":{"id":"task2-b","output":["red"]},"prediction":"red"}',
    '{"id":"c","prediction":"running quickly","references":"runs quick"}',
  ].join('\n'),
);
const config = Buffer.from(
  JSON.stringify({
    system: 'hint',
    model: { init: { config: { vocab_size: 64 } }, tokenizer: 'tokenizer.json', hint: { adapterSize: 4, loraRanks: 2 } },
    data: { directory: 'natural-instructions', positives: 0 },
    output: 'runs/hint',
    optimizer: { name: 'adafactor', groups: { hyper: { stepOffset: 1 } } },
    memoryBudget: '8GiB',
    recompute: 'auto',
  }),
); // prettier-ignore
const benchmark = Buffer.from(
  JSON.stringify({
    parts: {
      ops: { rows: [{ op: 'linear', case: '8x8', pass: 'forward', microseconds: 3 }, { name: 'roof', seconds: 1, samples: [1, 2] }] },
      latency: { samples: { 'hint 0': [1, 2, 3], hf: [2, 3] } },
      training: { steps: [{ usefulTokens: 10, engineSeconds: 1, hfSeconds: 2 }] },
    },
  }),
); // prettier-ignore
const taskMetadata = JSON.stringify({ fingerprint: 'a'.repeat(64), source: { format: 'hint', definition: 'Name it.', examples: [{ input: 'a', output: 'b' }], maxTokens: 8 }, inputPrefix: [1, 2], slots: { adapter: [0, 1] }, keys: 'f32' }); // prettier-ignore

/** A safetensors file of one tensor, with metadata. */
function safetensors(metadata) {
  const header = Buffer.from(JSON.stringify({ __metadata__: metadata, 'a.weight': { dtype: 'F32', shape: [2, 2], data_offsets: [0, 16] } })); // prettier-ignore
  const length = Buffer.alloc(8);
  length.writeBigUInt64LE(BigInt(header.length));
  return Buffer.concat([length, header, Buffer.alloc(16, 1)]);
}

const CACHE_KEY = Buffer.alloc(32, 7);

/** Corrects the checksum, as a program that forges a cache would. */
function withChecksum(bytes) {
  const forged = Buffer.from(bytes);
  if (forged.length < 72) return forged;
  createHash('sha256').update(forged.subarray(56)).digest().subarray(0, 16).copy(forged, 40);
  return forged;
}

function mutateCache(random, bytes, words) {
  if (bytes.length < 76) return mutateBytes(random, bytes, words);
  const body = random.below(3) === 0 ? mutateBytes(random, bytes.subarray(72), words) : Buffer.from(bytes.subarray(72)); // prettier-ignore
  const text = body.indexOf('{"instructions"');
  const edited = text >= 0 && random.below(2) === 0 ? Buffer.concat([body.subarray(0, text), mutateJson(random, body.subarray(text), words)]) : body; // prettier-ignore
  const head = Buffer.from(bytes.subarray(0, 72));
  // The counts go with the body, unless they are what is changed.
  if (text >= 0 && random.below(4) > 0) head.writeUInt32LE(Math.max(0, edited.length - text), 64);
  else head.writeUInt32LE(random.below(2 ** 31), 56 + 4 * random.below(3));
  return withChecksum(Buffer.concat([head, edited]));
}

/** Reads a user's own data to its end. */
async function ownRecords(file) {
  const { readOwnRecords } = await import('../../dist/data/own/dataset.js');
  for await (const row of readOwnRecords({ files: [file], split: 'all' })) void row;
}

function folderWith(directory, source) {
  if (!existsSync(join(directory, 'copied'))) cpSync(source, join(directory, 'copied'), { recursive: true });
  return join(directory, 'copied');
}

let tokenizer;
async function fixtureTokenizer() {
  const { Tokenizer } = await import('../../dist/formats/tokenizer/tokenizer.js');
  return (tokenizer ??= await Tokenizer.load(join(root, 'models', 'demo-t5')));
}

const first = (bytes, lines) => Buffer.from(gunzipSync(bytes).toString('utf8').split('\n').slice(0, lines).join('\n')); // prettier-ignore

/** A row as templates get it. */
async function templateRow() {
  const { valueOfJson } = await import('../../dist/formats/jinja/json.js');
  const { entries } = valueOfJson(fixture('promptsource', 'rows.jsonl').toString('utf8').split('\n')[0]);
  return new Map([...entries.values()].map(({ key, value }) => [key, value]));
}

/** name → { file, seeds, mutate, words, run } */
export const PARSERS = {
  'training-config': {
    file: 'config.json', seeds: () => [config], mutate: mutateJson, words: ['hint', 'cuda:99999999999', '80GiB', 'auto'],
    async run(file) {
      const { readTrainingConfig } = await import('../../dist/training/config/config.js');
      return readTrainingConfig(file);
    },
  },
  settings: {
    file: 'set.txt', mutate: mutateText, words: ['=', '.', '{"a":', '[[[[', '__proto__', '1e999', 'model.hint'],
    seeds: () => [Buffer.from('model.hint.adapterSize=3\ndata.positives=2\nmodel={"init":"a"}\noptimizer.groups.t5.frozen=true')],
    async run(file) {
      const { applyOverrides, mergeSettings } = await import('../../dist/training/config/overrides.js');
      const { parseTrainingConfig } = await import('../../dist/training/config/config.js');
      const lines = readFileSync(file, 'utf8').split('\n');
      return parseTrainingConfig(mergeSettings(JSON.parse(config), applyOverrides({}, lines)));
    },
  },
  'model-config': {
    file: 'config.json', mutate: mutateJson, words: ['gpt2', 'opt', 'gated-gelu', 'hypter'],
    seeds: () => [fixture('original', 'greedy', 'config.json'), fixture('decoder-only', 'gpt2', 'config.json'), fixture('decoder-only', 'opt', 'config.json')],
    async run(file) {
      const { familyOfDirectory } = await import('../../dist/model/families/registry.js');
      const { readModelConfig } = await import('../../dist/model/config/config.js');
      const { parameterShapes } = await import('../../dist/model/parameters/parameter-shapes.js');
      const { family, config, path } = await familyOfDirectory(dirname(file));
      if (family.name === 't5') return parameterShapes(await readModelConfig(dirname(file))).size;
      family.checkConfig(config, path);
    },
  },
  safetensors: {
    file: 'model.safetensors', mutate: mutateSafetensors, words: ['F32', 'BF16', 'I64', '__metadata__', 'data_offsets'],
    seeds: () => [fixture('safetensors', 'every-dtype.safetensors'), safetensors({ format: 'pt', step: '5' })],
    async run(file) {
      const { openSafetensors } = await import('../../dist/formats/safetensors/file.js');
      const opened = await openSafetensors(file);
      try {
        for (const name of [...opened.tensors.keys()].slice(0, 50)) await opened.read(name);
      } finally {
        await opened.close();
      }
    },
  },
  'shard-index': {
    file: 'model.safetensors.index.json', mutate: mutateJson, words: ['../x.safetensors', 'a.safetensors'],
    seeds: () => [Buffer.from(JSON.stringify({ metadata: { total_size: 16 }, weight_map: { 'a.weight': 'model-00001-of-00001.safetensors' } }))],
    async run(file) {
      const shard = join(dirname(file), 'model-00001-of-00001.safetensors');
      if (!existsSync(shard)) writeFileSync(shard, safetensors({ format: 'pt' }));
      const { openSafetensors } = await import('../../dist/formats/safetensors/file.js');
      const opened = await openSafetensors(file);
      try {
        for (const name of opened.tensors.keys()) await opened.read(name);
      } finally {
        await opened.close();
      }
    },
  },
  ...PREPARE_PARSERS,
  ...WEIGHT_PARSERS,
  lineage: {
    file: 'model.safetensors', mutate: mutateSafetensors, words: ['step', 'step_offsets', '{"hyper":1}', 'null', '[[[['],
    seeds: () => [safetensors({ step: '7', step_offsets: '{"hyper":3,"t5":0}' })],
    async run(file) {
      const { readLineage } = await import('../../dist/training/run/lineage.js');
      return readLineage(dirname(file));
    },
  },
  'task-metadata': {
    file: 'task.safetensors', mutate: mutateSafetensors, words: ['hint-task-2', taskMetadata, 'bf16'],
    seeds: () => [safetensors({ format: 'hint-task-2', task: taskMetadata })],
    async run(file) {
      const { readTaskMetadata } = await import('../../dist/inference/contract/task-metadata.js');
      return readTaskMetadata(file);
    },
  },
  tokenizer: {
    file: 'tokenizer.json', mutate: mutateJson, words: [...EXPRESSIONS, 'Replace', 'Sequence', 'ByteLevel', 'Split', 'Prepend'],
    seeds: () => [fixture('bpe-tokenizer', 'tokenizer.json'), smallUnigram(), splitTokenizer(), fixture('tokenizers', 'shapes', 'metaspace-first-digits', 'tokenizer.json'), fixture('tokenizers', 'shapes', 'replace-and-prepend', 'tokenizer.json')],
    async run(file) {
      const { Tokenizer } = await import('../../dist/formats/tokenizer/tokenizer.js');
      const read = await Tokenizer.load(file);
      const ids = read.encode(`Words: cat   greén salad\t12,345 ${'a'.repeat(60)}! ﬁ ① 日本`);
      return read.decode(ids) + read.truncate('Some more text', 4);
    },
  },
  sentencepiece: {
    file: 'spiece.model', mutate: mutateBytes, words: ['<extra_id_0>', '\0', '\u00ff\u00ff\u00ff\u00ff\u000f', '\n\u00ff\u0001'],
    seeds: () => [fixture('tokenizers', 'sentencepiece', 'spiece.model'), fixture('tokenizers', 'sentencepiece', 'identity.model')],
    async run(file) {
      const { Tokenizer } = await import('../../dist/formats/tokenizer/tokenizer.js');
      const read = await Tokenizer.load(file);
      return read.decode(read.encode(`Words: cat   greén salad\t12,345 ${'a'.repeat(60)}! ﬁ ① 日本`));
    },
  },
  'gpt2-vocabulary': {
    file: 'vocab.json', mutate: mutateJson, words: ['</s>', '<mask>', '__proto__', 'Ġ', '1e99'],
    seeds: () => [fixture('tokenizers', 'gpt2-files', 'vocab.json')],
    async run(file) {
      const { Tokenizer } = await import('../../dist/formats/tokenizer/tokenizer.js');
      writeFileSync(join(dirname(file), 'merges.txt'), fixture('tokenizers', 'gpt2-files', 'merges.txt'));
      const read = await Tokenizer.load(file);
      return read.decode(read.encode('Words: cat   greén <mask> salad'));
    },
  },
  'gpt2-config': {
    file: 'tokenizer_config.json', mutate: mutateJson, words: ['GPT2Tokenizer', 'added_tokens_decoder', 'additional_special_tokens', 'content'],
    seeds: () => [fixture('tokenizers', 'gpt2-files', 'tokenizer_config.json'), Buffer.from('{"added_tokens_decoder": {"500": {"content": "<x>", "lstrip": true, "special": true}}, "additional_special_tokens": ["<y>"]}')],
    async run(file) {
      const { Tokenizer } = await import('../../dist/formats/tokenizer/tokenizer.js');
      for (const name of ['merges.txt', 'vocab.json']) writeFileSync(join(dirname(file), name), fixture('tokenizers', 'gpt2-files', name));
      const read = await Tokenizer.load(dirname(file));
      return read.decode(read.encode('Words: <x> cat   greén <y> salad'));
    },
  },
  charsmap: {
    file: 'charsmap', mutate: mutateBytes, words: ['\0', '\u00ff\u00ff\u00ff\u00ff'],
    seeds: () => [Buffer.from(JSON.parse(fixture('tokenizer', 'tokenizer.json')).normalizer.precompiled_charsmap, 'base64')],
    async run(file) {
      const { Charsmap } = await import('../../dist/formats/tokenizer/charsmap.js');
      const map = new Charsmap(readFileSync(file).toString('base64'));
      return map.normalize('ﬁ ① Ａ日本 é a'.repeat(20)).length;
    },
  },
  'sni-task': {
    file: 'task1_a.json', seeds: () => [shortTask], mutate: mutateJson, words: ['Definition', 'Instances', 'Positive Examples'],
    async run(file) {
      const { readSniTask, selectInstances } = await import('../../dist/data/natural-instructions/tasks.js');
      const { createPrompt } = await import('../../dist/data/natural-instructions/prompts.js');
      const task = await readSniTask(file);
      selectInstances(task.instances, 'train', 5);
      return createPrompt(task, { format: 'tk-instruct', positives: 2 }, await fixtureTokenizer(), 128).formatInput('a');
    },
  },
  'sni-splits': {
    file: 'splits/default/train_tasks.txt', mutate: mutateText, words: ['\n', '..', '/', '\\', '\ufeff', '\0', 'task1'],
    seeds: () => [fixture('sni', 'splits', 'default', 'train_tasks.txt')],
    async run(file) {
      const { readSniTaskNames } = await import('../../dist/data/natural-instructions/tasks.js');
      return readSniTaskNames(resolve(dirname(file), '..', '..'), 'train');
    },
  },
  'p3-rows': {
    file: 'rows.jsonl', mutate: mutateLines, words: ['answer_choices', 'fields', '[NAME]', '<NO LABEL>'],
    seeds: () => [first(fixture('p3', 'train', 'quarel.jsonl.gz'), 4)],
    async run(file) {
      const { readLineBlocks } = await import('../../dist/data/line-blocks.js');
      const { runP3Job } = await import('../../dist/data/p3/tokenize.js');
      const tokens = await fixtureTokenizer();
      const rows = first(fixture('p3', 'train', 'quarel.jsonl.gz'), 4).toString('utf8').split('\n').map((line) => JSON.parse(line));
      const tasks = Object.fromEntries(rows.map((row) => [`${row.dataset}_${row.template}`, { text: 'a [B] c', keep: 1, shots: null }]));
      for await (const block of readLineBlocks(file, 'the rows')) {
        const job = { ...block, file, setting: { form: 'joint', shots: 1 }, tasks, seed: 0, withChoices: true, maxInstructionTokens: 64, maxInputTokens: 64, maxTargetTokens: 64, cacheDirectory: null };
        await runP3Job(job, { idsKey: tokens.idsKey, get: async () => tokens });
      }
    },
  },
  'p3-lists': {
    file: 'templates.json', mutate: mutateJson, words: ['original_task', 'rows', 'train', '../a'],
    seeds: () => [fixture('p3', 'templates.json'), fixture('p3', 'splits.json')],
    async run(file) {
      const { readP3Templates, p3Files } = await import('../../dist/data/p3/format.js');
      const directory = folderWith(dirname(file), join(fixtures, 'p3'));
      const bytes = readFileSync(file);
      const isList = bytes.toString('latin1').trimStart().startsWith('[');
      writeFileSync(join(directory, isList ? 'templates.json' : 'splits.json'), bytes);
      return isList ? readP3Templates(directory) : p3Files(directory, 'train');
    },
  },
  'own-lines': {
    file: 'records.jsonl', mutate: mutateLines, words: ['instruction', 'output', 'examples', 'split', '[', '\\u0000', '__proto__'],
    seeds: () => [Buffer.from('{"instruction":"Add.","input":"1 1","output":["2","two"],"task":"a","split":"train"}\n{"prompt":"Name it.","completion":"x","examples":[{"input":"a","output":"b"}],"id":7}\n'), Buffer.from('\ufeff[{"instruction":"i","output":"o"},\n{"instruction":"j","output":""}]')],
    run: ownRecords,
  },
  'own-table': {
    file: 'records.csv', mutate: mutateText, words: ['"', '""', '\r', '\r\n', ',', ';', '\ufeff', '\0', '[{""input"":1}]', 'instruction', 'output'],
    seeds: () => [Buffer.from('instruction,input,output,examples,split\n"Say, ""hi"".","line one\nline two",hi,"[{""input"":""a"",""output"":""b""}]",test\nAdd.,,2,,\n')],
    run: ownRecords,
  },
  promptsource: {
    file: 'templates.yaml', mutate: mutateText, words: [...WORDS, ...YAML],
    seeds: () => [fixture('promptsource', 'templates.yaml')],
    async run(file) {
      const { readPromptTemplates } = await import('../../dist/data/p3/promptsource/templates.js');
      const { PromptRenderer } = await import('../../dist/data/p3/promptsource/render.js');
      const row = await templateRow();
      const { templates } = await readPromptTemplates(file);
      for (const template of templates.slice(0, 20)) new PromptRenderer(template).render(row, () => 0.5);
    },
  },
  jinja: {
    file: 'template', mutate: mutateText, words: WORDS,
    seeds: () => ['{{ text }} ||| {{ label }}', '{% set s = text %}{% for t in tags %}{% set s = s ~ s %}{{ loop.index }}{{ t | upper }}{% endfor %}||| {{ tags | join(", ") }}', '{% macro a(x) %}{{ x }}{% endmacro %}{{ a(text) }} ||| {{ product.name if verified else text[1:4] }}', '{% set l = [] %}{% for t in range(3) %}{{ l.append(l) }}{% endfor %}{{ l }}|||x'].map((text) => Buffer.from(text)),
    async run(file) {
      const { PromptRenderer } = await import('../../dist/data/p3/promptsource/render.js');
      const row = await templateRow();
      return new PromptRenderer({ name: 'a', taskName: 'a', jinja: readFileSync(file, 'utf8'), answerChoices: undefined, originalTask: true, choicesInPrompt: false, metrics: [] }).render(row, () => 0.5);
    },
  },
  'promptsource-rows': {
    file: 'rows.jsonl', mutate: mutateLines, words: ['text', 'tags', '\ufdd0', '\ufdd1', '|||', 'answer_choices'],
    seeds: () => [fixture('promptsource', 'rows.jsonl')],
    async run(file) {
      const { renderPromptsource } = await import('../../dist/data/p3/promptsource/write.js');
      const directory = join(dirname(file), 'out');
      rmSync(directory, { recursive: true, force: true });
      return renderPromptsource({ templates: join(fixtures, 'promptsource', 'templates.yaml'), rows: file, directory, split: 'train' });
    },
  },
  'text-lines': {
    file: 'corpus.jsonl', mutate: mutateLines, words: ['text', '\n', '\r', '\0', '\ufeff'],
    seeds: () => [small(fixture('text', 'sample.jsonl'))],
    run: (file) => readCorpus(file),
  },
  gzip: {
    file: 'corpus.jsonl.gz', mutate: mutateBytes, words: ['\u001f\u008b'],
    seeds: () => [gzipSync(fixture('text', 'sample.jsonl')), gzipSync(Buffer.alloc(9_000_000, 10)), gzipSync(Buffer.alloc(9_000_000, 97))],
    run: (file) => readCorpus(file),
  },
  parquet: {
    file: 'corpus.parquet', mutate: mutateBytes, words: ['PAR1', '\u0015\u0000', '\u00ff\u00ff\u00ff\u00ff\u000f'],
    seeds: () => [fixture('text', 'sample.parquet'), plainParquet(3, 3), plainParquet(3, 2_000_000_000), plainParquet(2_000_000_000, 3)],
    async run(file) {
      const { readParquetRows } = await import('../../dist/formats/parquet/texts.js');
      let rows = Infinity;
      for (let row = 0; row < rows; ) {
        const read = await readParquetRows({ file, column: 'text', row });
        if (read.ends.length === 0) break;
        rows = read.rows;
        row += read.ends.length;
      }
    },
  },
  predictions: {
    file: 'predictions.jsonl', seeds: () => [predictions], mutate: mutateLines, words: ['references', 'id', 'prediction'],
    async run(file) {
      const { scoreFile } = await import('../../dist/evaluation/score.js');
      return scoreFile(file);
    },
  },
  references: {
    file: 'references.jsonl', mutate: mutateLines, words: ['references', 'id'],
    seeds: () => [Buffer.from('{"id":"task1-a","references":["yes"]}\n{"id":"task2-b","references":"red"}\n{"id":"c","references":["runs"]}')],
    async run(file) {
      const { scoreFile } = await import('../../dist/evaluation/score.js');
      const scored = join(dirname(file), 'predictions.jsonl');
      writeFileSync(scored, predictions);
      return scoreFile(scored, { references: file });
    },
  },
  benchmark: {
    file: 'results.json', seeds: () => [benchmark], mutate: mutateJson, words: ['samples', 'rows', 'steps'],
    async run(file) {
      const { benchmarkSeries, compareBenchmarks } = await import('../../dist/benchmark/compare.js');
      const { readJson } = await import('../../dist/util/read-file.js');
      const series = benchmarkSeries(await readJson(file, 'the result'), file);
      return compareBenchmarks(series, benchmarkSeries(JSON.parse(benchmark), 'other'), 0.05);
    },
  },
  metrics: {
    file: 'metrics.jsonl', mutate: mutateLines, words: ['step', 'loss'],
    seeds: () => [Buffer.from([1, 2, 3].map((step) => JSON.stringify({ step, loss: 1.5, time: '2026-01-01' })).join('\n'))],
    async run(file) {
      const { RunDirectory } = await import('../../dist/training/run/run-directory.js');
      const run = new RunDirectory(dirname(file));
      await run.readMetrics();
      await run.truncateMetrics(2);
    },
  },
  'checkpoint-state': {
    file: 'state.json', mutate: mutateJson, words: ['version', 'source', 'sampler'],
    seeds: () => [Buffer.from(JSON.stringify({ version: 2, step: 3, tokens: 10, source: { epoch: 0, position: 3 }, fingerprint: 'a' }))],
    async run(file) {
      const { RunDirectory } = await import('../../dist/training/run/run-directory.js');
      const checkpoint = join(dirname(file), 'checkpoints', 'step-3');
      mkdirSync(checkpoint, { recursive: true });
      for (const name of ['config.json', 'model.safetensors'])
        writeFileSync(join(checkpoint, name), fixture('beam-model', name));
      writeFileSync(join(checkpoint, 'optimizer.safetensors'), safetensors({ optimizer: 'adafactor' }));
      writeFileSync(join(checkpoint, 'state.json'), readFileSync(file));
      return new RunDirectory(dirname(file)).latestCheckpoint();
    },
  },
  'parquet-lists': {
    file: 'own.parquet', mutate: mutateBytes, words: ['PAR1', '\u0015\u0000', '\u00ff\u00ff\u00ff\u00ff\u000f'],
    seeds: () => [fixture('parquet', 'lists.parquet'), fixture('parquet', 'lists-version-2.parquet'), fixture('parquet', 'wrong-lists.parquet')],
    run: ownRecords,
  },
  lock: {
    file: 'lock.json', mutate: mutateJson, words: ['pid', 'host'],
    seeds: () => [Buffer.from(JSON.stringify({ pid: 999_999_999, host: 'elsewhere', processStart: null, since: '2026' }))],
    async run(file) {
      const { takeLock } = await import('../../dist/util/lock.js');
      const release = await takeLock(file, { doing: 'working here', instead: 'another folder' });
      await release();
    },
  },
  'token-cache': {
    file: `${CACHE_KEY.toString('hex')}.tokens`, mutate: mutateCache, words: ['instructions', 'examples', 'choices'],
    async seeds() {
      const { packExamples } = await import('../../dist/data/token-cache.js');
      const ids = (...values) => Int32Array.from(values);
      const choice = { text: 'c', ids: ids(9) };
      const example = (id) => ({ id, task: 't', instruction: ids(1, 2), input: ids(3), target: ids(4, 5), references: ['r'], choices: [choice] });
      return [Buffer.from(packExamples([example('a'), example('b')], CACHE_KEY))];
    },
    async run(file) {
      const { readTokenCache, unpackExamples, packedLayout } = await import('../../dist/data/token-cache.js');
      const packed = await readTokenCache(dirname(file), CACHE_KEY);
      if (packed) return [packedLayout(packed), unpackExamples(packed)];
    },
  },
  fixtures: {
    file: 'inputs.json', mutate: mutateJson, words: ['examples', 'instruction'],
    seeds: () => [fixture('original', 'greedy', 'inputs.json')],
    async run(file) {
      const { verifyDirectory } = await import('../../dist/cli/commands/verify/cases.js');
      const { Device } = await import('../../dist/tensor/device.js');
      const directory = folderWith(dirname(file), join(fixtures, 'original', 'greedy'));
      writeFileSync(join(directory, 'inputs.json'), readFileSync(file));
      const device = new Device({ threads: 1 });
      try {
        return await verifyDirectory(device, directory, 'f32', undefined);
      } finally {
        device.close();
      }
    },
  },
  'bucket-fixtures': {
    file: 'expected.json', mutate: mutateJson, words: ['buckets'],
    seeds: () => [Buffer.from(JSON.stringify({ first_offset: -3, buckets: 4, max_distance: 8, bidirectional: [3, 2, 1, 0, 3, 3, 3], causal: [3, 2, 1, 0, 0, 0, 0] }))],
    async run(file) {
      const { verifyDirectory } = await import('../../dist/cli/commands/verify/cases.js');
      const { Device } = await import('../../dist/tensor/device.js');
      const device = new Device({ threads: 1 });
      try {
        return await verifyDirectory(device, dirname(file), 'f32', undefined);
      } finally {
        device.close();
      }
    },
  },
}; // prettier-ignore

async function readCorpus(file) {
  const { findTextFiles } = await import('../../dist/data/text/files.js');
  const { readGroups, START } = await import('../../dist/data/text/documents.js');
  const { runTextJob } = await import('../../dist/data/text/text-job.js');
  const tokens = await fixtureTokenizer();
  const source = { idsKey: tokens.idsKey, get: async () => tokens };
  const settings = { column: 'text', epoch: 0, group: 0, seed: 0, objective: 'hint', splits: 'independent', segmentTokens: 64, maxDocumentTokens: 1024, lastSegment: 'drop' }; // prettier-ignore
  let groups = 0;
  for await (const { documents } of readGroups(await findTextFiles([file]), START, 8, {
    column: 'text',
    parquet: () => Promise.reject(new Error('none')),
  })) {
    // prettier-ignore
    await runTextJob({ ...settings, ...documents }, source);
    groups++;
  }
  return groups;
}

/** The fixture's tokenizer with few pieces, so that a random change often hits a relevant part. */
function smallUnigram() {
  const json = JSON.parse(fixture('tokenizer', 'tokenizer.json'));
  const model = { ...json.model, vocab: json.model.vocab.slice(0, 300) };
  return Buffer.from(JSON.stringify({ ...json, normalizer: { type: 'NFKC' }, model, added_tokens: json.added_tokens.slice(0, 3) })); // prettier-ignore
}

function splitTokenizer() {
  const json = JSON.parse(fixture('bpe-tokenizer', 'tokenizer.json'));
  const split = { type: 'Split', pattern: { Regex: '\\p{L}+|\\s+' }, behavior: 'Isolated', invert: false };
  const normalizer = { type: 'Sequence', normalizers: [{ type: 'NFC' }, { type: 'Replace', pattern: { String: 'a' }, content: 'b' }] }; // prettier-ignore
  return Buffer.from(JSON.stringify({ ...json, normalizer, pre_tokenizer: { type: 'Sequence', pretokenizers: [split, json.pre_tokenizer] } })); // prettier-ignore
}

/** Inputs that were found and kept: names of files in test/fuzz/corpus. */
export function corpusOf(name) {
  const folder = join(import.meta.dirname, 'corpus', name);
  if (!existsSync(folder)) return [];
  return readdirSync(folder).sort().map((file) => ({ file, bytes: readFileSync(join(folder, file)) })); // prettier-ignore
}
