// Measures the engine on this machine, writes bench/results/<date>-<cpu>.json and the tables of docs/performance.md.
//   node scripts/bench.mjs [latency|inference|training|ops|small|data|ratios|all|report]
//                      ratios: latency, inference and training, every figure that compares with another system
//                      report: only the tables, from a results file
//     --json FILE      the results file; parts it has already and that do not run now stay
//     --size SIZE      shape of T5: small or base (default: base for latency and inference, small for training)
//     --samples N      samples of each measurement (default 5; at least 3 for inference)
//     --shots LIST     for latency (default 0,1,2,3,4,5)
//     --dtypes LIST    for latency (default f32,bf16,int8)
//     --onnx DIR       for latency: an exported T5 of that shape, measured too
//     --adapters N     HINT's adapter size (default 512)
//     --quick          2 samples of the small shape, latency 1 of 8 examples; prints, and writes only what --json names
//     --profile        also where the encoder's time goes
//     --no-build       measure what is built
//   HINT_OP_BENCH      a hint_op_bench built elsewhere (default build/native/bench/hint_op_bench)
//   HINT_PEER_PYTHON   a Python with torch and transformers, and ctranslate2 if it is to be measured (default python3)
import { spawnSync } from 'node:child_process';
import { existsSync, readdirSync, readFileSync, statSync } from 'node:fs';
import { dirname, join, relative, resolve } from 'node:path';
import { fileURLToPath } from 'node:url';
import { parseArgs } from 'node:util';

const root = join(dirname(fileURLToPath(import.meta.url)), '..');
const PARTS = ['latency', 'inference', 'training', 'ops', 'small', 'data'];
/** Parts that compare with other systems. */
const RATIOS = ['latency', 'inference', 'training'];
const DOCUMENT = join(root, 'docs', 'performance.md');

function refuse(message) {
  console.error(message);
  process.exit(2);
}

function readOptions() {
  const { values, positionals } = parseArgs({
    allowPositionals: true,
    options: {
      json: { type: 'string' },
      size: { type: 'string' },
      samples: { type: 'string' },
      adapters: { type: 'string', default: '512' },
      onnx: { type: 'string' },
      shots: { type: 'string', default: '0,1,2,3,4,5' },
      dtypes: { type: 'string', default: 'f32,bf16,int8' },
      quick: { type: 'boolean', default: false },
      profile: { type: 'boolean', default: false },
      'no-build': { type: 'boolean', default: false },
    },
  });
  const [part = 'all'] = positionals;
  if (positionals.length > 1 || ![...PARTS, 'ratios', 'all', 'report'].includes(part)) {
    refuse(
      `There is no part "${positionals.join(' ')}"; give one of ${PARTS.join(', ')}, ratios, all, report.`,
    );
  }
  const { size } = values;
  if (size !== undefined && !['small', 'base'].includes(size))
    refuse(`--size is "${size}"; give small or base.`);
  const samples = Number(values.samples ?? (values.quick ? 2 : 5));
  const adapterSize = Number(values.adapters);
  for (const [name, value] of Object.entries({ '--samples': samples, '--adapters': adapterSize })) {
    if (!Number.isInteger(value) || value < 1) refuse(`${name} must be an integer of at least 1.`);
  }
  const shots = values.shots.split(',').map(Number);
  if (!shots.every((count) => Number.isInteger(count) && count >= 0))
    refuse(`--shots is "${values.shots}"; give numbers such as 0,2,5.`);
  const dtypes = values.dtypes.split(',');
  if (!dtypes.every((dtype) => ['f32', 'bf16', 'int8'].includes(dtype)))
    refuse(`--dtypes is "${values.dtypes}"; give some of f32,bf16,int8.`);
  return { ...values, part, samples, adapterSize, shots, dtypes };
}

/** Modification time of the newest file below some paths, in ms since 1970. */
function newest(paths) {
  const times = paths.flatMap((path) =>
    statSync(join(root, path)).isDirectory()
      ? readdirSync(join(root, path), { recursive: true }).map(
          (name) => statSync(join(root, path, name)).mtimeMs,
        )
      : [statSync(join(root, path)).mtimeMs],
  );
  return Math.max(...times);
}

function builtSince(artefact, sources) {
  const path = join(root, artefact);
  return existsSync(path) && statSync(path).mtimeMs >= newest(sources);
}

function build(needsOps) {
  const native = ['native', 'bindings', 'CMakeLists.txt'];
  const flags = [];
  if (!builtSince('build/Release/hint.node', native)) flags.push('--tests');
  else if (needsOps && !builtSince('build/native/bench/hint_op_bench', native))
    flags.push('--native', '--tests');
  else if (!builtSince('dist/index.js', ['src', 'tsconfig.build.json'])) flags.push('--ts');
  else return;
  const { status } = spawnSync(process.execPath, [join(root, 'scripts/build.mjs'), ...flags], {
    stdio: 'inherit',
  });
  if (status !== 0) process.exit(status ?? 1);
}

async function measure(part, options) {
  const { samples: rounds, adapterSize, profile, quick } = options;
  const note = (text) => console.error(text);
  const onProgress = (done, total) =>
    process.stderr.write(`\r${part}: ${done}/${total} ${done === total ? '\n' : ''}`);
  if (part === 'ops') {
    const { benchOps } = await import('../bench/ops.mjs');
    return benchOps({ samples: Math.max(3, rounds) });
  }
  if (part === 'small') {
    const { benchSmall } = await import('../bench/small.mjs');
    return { rows: await benchSmall({ seconds: quick ? 0.5 : 3, onProgress }) };
  }
  if (part === 'data') {
    const { benchData } = await import('../bench/data.mjs');
    return benchData({ rounds, onProgress });
  }
  if (part === 'training') {
    const { measureTraining } = await import('../dist/benchmark/training.js');
    const { benchConfig } = await import('../dist/benchmark/random-model.js');
    const size = options.size ?? 'small';
    const batchSize = size === 'base' ? 8 : 16;
    const part = await measureTraining({
      config: benchConfig(size),
      systems: ['t5', 'hf'],
      batchSize,
      tasks: batchSize / 2,
      tokenBudget: 16_384,
      rounds,
      note,
      onProgress,
    });
    return { size, ...part };
  }
  const size = options.size ?? (quick ? 'small' : 'base');
  if (part === 'latency') {
    const { measureLatency } = await import('../dist/benchmark/latency.js');
    return measureLatency({
      size,
      adapterSize,
      shots: options.shots,
      examples: quick ? 8 : 100,
      rounds: quick ? 1 : rounds,
      dtypes: options.dtypes,
      systems: ['hint', 't5', 'decoder', 'hf', 'ctranslate2', ...(options.onnx ? ['onnx'] : [])],
      onnx: options.onnx,
      note,
      onProgress,
    });
  }
  const { benchInference } = await import('../bench/inference.mjs');
  return benchInference({
    size,
    adapterSize,
    rounds: quick ? rounds : Math.max(3, rounds),
    profile,
    note,
    onProgress,
  });
}

async function resultsFile(options, machine, slug) {
  if (options.json) return resolve(options.json);
  if (options.quick) return undefined;
  return join(root, 'bench/results', `${new Date().toISOString().slice(0, 10)}-${slug(machine.cpu)}.json`);
}

const options = readOptions();
const groups = { all: PARTS, ratios: RATIOS, report: [] };
const parts = groups[options.part] ?? [options.part];
if (!options['no-build']) build(parts.includes('ops'));
const { cpuSlug, describeMachine, describeMoment } = await import('../dist/benchmark/machine.js');
const { writeFileAtomic } = await import('../dist/util/atomic-file.js');
const { renderReport, replaceReport } = await import('../bench/report.mjs');

const machine = describeMachine();
const file = await resultsFile(options, machine, cpuSlug);
const results =
  file && existsSync(file)
    ? JSON.parse(readFileSync(file, 'utf8'))
    : { machine, date: new Date().toISOString(), parts: {} };
for (const part of parts) {
  const moment = await describeMoment();
  try {
    results.parts[part] = { ...moment, ...(await measure(part, options)) };
  } catch (error) {
    console.error(`The part ${part} failed, its earlier results stay: ${error.message}`);
    process.exitCode = 1;
    continue;
  }
  // Written after every part, so that an interruption costs one part and not all.
  if (file) await writeFileAtomic(file, `${JSON.stringify(results)}\n`);
}
console.log(renderReport(results));
if (file && !options.quick) {
  if (results.parts.latency) {
    const { latencyChart } = await import('../dist/benchmark/latency-report.js');
    const { svgToPng } = await import('../dist/util/plot/png.js');
    await writeFileAtomic(
      join(root, 'docs/images/latency.png'),
      await svgToPng(latencyChart(results.parts.latency)),
    );
    const { breakEvenChart } = await import('../dist/benchmark/break-even-report.js');
    const chart = breakEvenChart(results.parts.latency);
    if (chart !== undefined)
      await writeFileAtomic(join(root, 'docs/images/latency-break-even.png'), await svgToPng(chart));
  }
  await writeFileAtomic(
    DOCUMENT,
    replaceReport(readFileSync(DOCUMENT, 'utf8'), results, relative(root, file)),
  );
  console.log(`\nWritten: ${relative(root, file)}, docs/performance.md`);
}
