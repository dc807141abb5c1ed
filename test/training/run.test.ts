import { execFileSync, spawn } from 'node:child_process';
import { cp, mkdir, mkdtemp, readdir, readFile, rm, symlink, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { openSafetensors } from '../../src/formats/safetensors/file.js';
import type { TrainingConfig } from '../../src/training/config/config.js';
import { RunDirectory, type CheckpointState } from '../../src/training/run/run-directory.js';
import { trainFromConfig } from '../../src/training/run/run.js';
import type { TrainingEvent, TrainingSummary } from '../../src/training/run/events.js';
import { sha256Hex } from '../../src/util/hash.js';
import { tinyData, tinyRun } from './run-setup.js';
import { FIXTURES } from './tiny.js';

let scratch: string;
let whole: string;
let wholeSummary: TrainingSummary;
let wholeEvents: TrainingEvent[];

beforeAll(async () => {
  scratch = await mkdtemp(join(tmpdir(), 'hint-run-'));
  whole = join(scratch, 'whole');
  wholeEvents = [];
  wholeSummary = await trainFromConfig(tinyRun(whole), { onEvent: (event) => wholeEvents.push(event) });
});
afterAll(() => rm(scratch, { recursive: true, force: true }));

/** Losses by step: what must be equal in equal runs. */
async function lossesOf(output: string): Promise<unknown[]> {
  const lines = await new RunDirectory(output).readMetrics();
  return lines.map(({ step, loss, total, gradientNorm, tokens }) => ({
    step,
    loss,
    total,
    gradientNorm,
    tokens,
  }));
}

/** The hash of every tensor of a model or checkpoint folder. */
async function tensorsOf(folder: string, name = 'model.safetensors'): Promise<Map<string, string>> {
  await using file = await openSafetensors(join(folder, name));
  const tensors = new Map<string, string>();
  for (const key of file.tensors.keys()) tensors.set(key, sha256Hex(await file.read(key)));
  return tensors;
}

async function expectSameEnd(output: string): Promise<void> {
  expect(await lossesOf(output)).toEqual(await lossesOf(whole));
  expect(await tensorsOf(join(output, 'model'))).toEqual(await tensorsOf(join(whole, 'model')));
  for (const file of ['model.safetensors', 'optimizer.safetensors']) {
    const at = join('checkpoints', 'step-6');
    expect(await tensorsOf(join(output, at), file)).toEqual(await tensorsOf(join(whole, at), file));
  }
}

/** Trains and aborts when `when` says so. */
function trainUntil(
  config: TrainingConfig,
  when: (event: TrainingEvent) => boolean,
): Promise<TrainingSummary> {
  const controller = new AbortController();
  return trainFromConfig(config, {
    signal: controller.signal,
    onEvent: (event) => {
      if (when(event)) controller.abort();
    },
  });
}

describe('a training run', () => {
  it('leaves configuration, metrics, its latest checkpoints, and a model directory with its tokenizer', async () => {
    expect(wholeSummary).toMatchObject({ status: 'finished', system: 'hint', step: 6, steps: 6 });
    expect((await readdir(whole)).sort()).toEqual([
      'checkpoints',
      'config.json',
      'memory.json',
      'metrics.jsonl',
      'model',
    ]);
    expect(await new RunDirectory(whole).checkpointSteps()).toEqual([6, 4]);
    expect((await readdir(join(whole, 'model'))).sort()).toEqual([
      'config.json',
      'model.safetensors',
      'tokenizer.json',
    ]);
    expect((await readdir(join(whole, 'checkpoints', 'step-6'))).sort()).toEqual([
      'config.json',
      'model.safetensors',
      'optimizer.safetensors',
      'state.json',
      'tokenizer.json',
    ]);
    expect(await new RunDirectory(whole).readConfig()).toEqual({
      ...tinyRun(whole),
      firstStep: 0,
      recompute: 'none',
    });
    const metrics = await new RunDirectory(whole).readMetrics();
    expect(metrics.map(({ step }) => step)).toEqual([1, 2, 3, 4, 5, 6]);
    expect(metrics.at(-1)).toMatchObject({ learningRate: 1e-2, loss: wholeSummary.loss });
    expect(metrics.reduce((sum, { tokens }) => sum + tokens, 0)).toBe(wholeSummary.tokens);
    expect(await tensorsOf(join(whole, 'model'))).toEqual(
      await tensorsOf(join(whole, 'checkpoints', 'step-6')),
    );
  });

  it('tells what it does, in order', () => {
    const phases = wholeEvents.flatMap((event) => (event.kind === 'phase' ? [event.phase] : []));
    expect(phases).toEqual(['data', 'model', 'train', 'save']);
    expect(wholeEvents.filter(({ kind }) => kind === 'step')).toHaveLength(6);
    expect(wholeEvents.flatMap((event) => (event.kind === 'checkpoint' ? [event.step] : []))).toEqual([
      2, 4, 6,
    ]);
    expect(wholeEvents.at(-1)).toEqual({ kind: 'done', summary: wholeSummary });
  });

  it('trains baselines with the same configuration, without a hypernetwork', async () => {
    for (const system of ['tk-instruct', 'no-instruct']) {
      const output = join(scratch, system);
      const { model, ...config } = tinyRun(output, { system, steps: 1 });
      await trainFromConfig({ ...config, model: { ...model, hint: {} } });
      const names = [...(await tensorsOf(join(output, 'model'))).keys()];
      expect(names.some((name) => name.startsWith('hypernetwork.'))).toBe(false);
    }
  });

  it('starts from another run’s model: HINT from a plain T5, and plain T5 from HINT', async () => {
    const t5 = join(scratch, 'no-instruct', 'model');
    const config = tinyRun(join(scratch, 'from-t5'), { steps: 1, learningRate: 1e-30 });
    // How its answers are decoded comes along, so that they are written as those of the model it started from.
    await writeFile(join(t5, 'tokenizer_config.json'), '{"clean_up_tokenization_spaces": true}');
    await trainFromConfig({ ...config, model: { init: t5, hint: { adapterSize: 4 } } });
    const started = await tensorsOf(join(scratch, 'from-t5', 'model'));
    expect(await readFile(join(scratch, 'from-t5', 'model', 'tokenizer_config.json'), 'utf8')).toBe(
      '{"clean_up_tokenization_spaces": true}',
    );
    for (const [name, hash] of await tensorsOf(t5)) expect([name, started.get(name)]).toEqual([name, hash]);
    expect([...started.keys()].some((name) => name.startsWith('hypernetwork.'))).toBe(true);
    const back = tinyRun(join(scratch, 'from-hint'), { system: 'tk-instruct', steps: 1 });
    const summary = await trainFromConfig({ ...back, model: { init: join(whole, 'model'), hint: {} } });
    expect(summary.parameters).toBeLessThan(wholeSummary.parameters);
  });
});

describe('resuming', () => {
  it('is bit-exact after Ctrl-C, which saves the step it is at', async () => {
    const output = join(scratch, 'stopped');
    const summary = await trainUntil(
      tinyRun(output),
      (event) => event.kind === 'step' && event.report.step === 3,
    );
    expect(summary).toMatchObject({ status: 'stopped', model: undefined });
    expect(summary.step).toBeGreaterThanOrEqual(3);
    expect(summary.step).toBeLessThan(6);
    expect((await new RunDirectory(output).latestCheckpoint())?.step).toBe(summary.step);
    expect(await trainFromConfig(tinyRun(output), { resume: true })).toMatchObject({
      status: 'finished',
      step: 6,
    });
    await expectSameEnd(output);
  });

  it.each([
    ['f32 weights', {}],
    ['bf16 weights rounded by chance', { paramDtype: 'bf16', paramRounding: 'stochastic' }],
  ] as const)('is bit-exact after a kill (%s)', async (name, changes) => {
    const output = join(scratch, `killed ${name}`);
    const runner = join(import.meta.dirname, '..', '..', 'node_modules', 'vite-node', 'vite-node.mjs');
    const settings = join(scratch, 'vite.config.mjs');
    await writeFile(settings, 'export default { esbuild: { target: "node20" } };');
    const program = join(import.meta.dirname, 'killed-run.ts');
    const child = spawn(process.execPath, [
      runner,
      '--config',
      settings,
      program,
      output,
      JSON.stringify(changes),
    ]);
    let errors = '';
    child.stderr.on('data', (data: Buffer) => (errors += data.toString()));
    await new Promise<void>((resolve, reject) => {
      child.stdout.on('data', (data: Buffer) => {
        if (data.toString().includes('saved 2')) child.kill('SIGKILL');
      });
      child.on('close', (_, signal) => (signal === 'SIGKILL' ? resolve() : reject(new Error(errors))));
    });
    const run = new RunDirectory(output);
    const reached = (await run.latestCheckpoint())!.step;
    // However far the process got, a whole run of the same length has to end in the same bits.
    const steps = reached + 2;
    await trainFromConfig(tinyRun(output, { ...changes, steps }), { resume: true });
    const reference = join(scratch, `not killed ${name}`);
    await trainFromConfig(tinyRun(reference, { ...changes, steps }));
    expect(await lossesOf(output)).toEqual(await lossesOf(reference));
    expect(await tensorsOf(join(output, 'model'))).toEqual(await tensorsOf(join(reference, 'model')));
  });

  it('is bit-exact after a kill in the middle of writing a checkpoint and a metrics line', async () => {
    const output = join(scratch, 'torn');
    await trainUntil(tinyRun(output), (event) => event.kind === 'checkpoint' && event.step === 2);
    const run = new RunDirectory(output);
    const torn = (await run.latestCheckpoint())!.step + 1;
    const checkpoints = join(output, 'checkpoints');
    await mkdir(join(checkpoints, `.step-${torn}.0123456789ab.tmp`));
    await writeFile(join(checkpoints, `.step-${torn}.0123456789ab.tmp`, 'config.json'), '{');
    // And a folder with its name but without its last file, as a file system may leave behind after a power cut.
    await cp(join(checkpoints, `step-${torn - 1}`), join(checkpoints, `step-${torn}`), { recursive: true });
    await rm(join(checkpoints, `step-${torn}`, 'state.json'));
    await writeFile(run.metricsPath, `${await readFile(run.metricsPath, 'utf8')}{"step": 99, "lo`);
    await trainFromConfig(tinyRun(output), { resume: true });
    expect((await readdir(checkpoints)).sort()).toEqual(['step-4', 'step-6']);
    await expectSameEnd(output);
  });

  it('takes a checkpoint of the first format, whose place was that of a sampler', async () => {
    const output = join(scratch, 'version-1');
    await trainUntil(tinyRun(output), (event) => event.kind === 'checkpoint' && event.step === 2);
    const { path, step } = (await new RunDirectory(output).latestCheckpoint())!;
    const file = join(path, 'state.json');
    const { source, fingerprint, tokens } = JSON.parse(await readFile(file, 'utf8')) as CheckpointState;
    const old = { version: 1, step, sampler: source, tokens, pool: fingerprint };
    await writeFile(file, JSON.stringify(old));
    await trainFromConfig(tinyRun(output), { resume: true });
    await expectSameEnd(output);
  });

  it('of a finished run does nothing but can go on with more steps', async () => {
    const output = join(scratch, 'longer');
    await cp(whole, output, { recursive: true });
    expect(await trainFromConfig(tinyRun(output), { resume: true })).toMatchObject({
      step: 6,
      loss: undefined,
    });
    expect(await trainFromConfig(tinyRun(output, { steps: 7 }), { resume: true })).toMatchObject({ step: 7 });
    expect((await lossesOf(output)).slice(0, 6)).toEqual(await lossesOf(whole));
  });

  it('refuses another system, seed or data, and a folder without a run', async () => {
    const resume = (changes: Parameters<typeof tinyRun>[1]) =>
      trainFromConfig(tinyRun(whole, changes), { resume: true });
    await expect(resume({ seed: 6 })).rejects.toMatchObject({
      message: expect.stringMatching(/seed 6.*with 5/),
    });
    await expect(resume({ system: 'tk-instruct' })).rejects.toMatchObject({ code: 'INVALID_CONFIG' });
    await expect(resume({ data: { ...tinyData(whole), instancesPerTask: 7 } })).rejects.toMatchObject({
      code: 'INVALID_DATA',
      message: expect.stringContaining('not those of the run'),
    });
    await expect(trainFromConfig(tinyRun(join(scratch, 'nothing')), { resume: true })).rejects.toMatchObject({
      code: 'NOT_FOUND',
    });
    expect(await new RunDirectory(whole).readConfig()).toEqual({
      ...tinyRun(whole),
      firstStep: 0,
      recompute: 'none',
    });
  });
});

describe('bad circumstances', () => {
  it('a run is never overwritten by another', async () => {
    const before = await readFile(join(whole, 'metrics.jsonl'));
    await expect(trainFromConfig(tinyRun(whole))).rejects.toMatchObject({
      code: 'INVALID_ARGUMENT',
      message: expect.stringMatching(/holds a training run already; resume it/),
    });
    expect(await readFile(join(whole, 'metrics.jsonl'))).toEqual(before);
  });

  it('two runs at once are refused, and the first goes on', async () => {
    const output = join(scratch, 'twice');
    const errors: unknown[] = [];
    let second: Promise<unknown> | undefined;
    await trainFromConfig(tinyRun(output), {
      onEvent: ({ kind }) => {
        if (kind !== 'step') return;
        second ??= trainFromConfig(tinyRun(output), { resume: true }).catch((error) => errors.push(error));
      },
    });
    await second;
    expect(errors).toEqual([
      expect.objectContaining({
        code: 'INVALID_ARGUMENT',
        message: expect.stringContaining('has been training in'),
      }),
    ]);
    await expectSameEnd(output);
  });

  it('an output that cannot be written is told before anything is loaded', async () => {
    const file = join(scratch, 'file');
    await writeFile(file, '');
    const events: TrainingEvent[] = [];
    await expect(
      trainFromConfig(tinyRun(join(file, 'run')), { onEvent: (event) => events.push(event) }),
    ).rejects.toMatchObject({ code: 'IO' });
    expect(events).toEqual([]);
  });

  it('a full disk under the metrics ends the run with a sentence, and the last checkpoint stays', async () => {
    const output = join(scratch, 'full-metrics');
    await trainUntil(tinyRun(output), (event) => event.kind === 'checkpoint');
    const run = new RunDirectory(output);
    const saved = (await run.latestCheckpoint())!.step;
    await rm(run.metricsPath);
    await symlink('/dev/full', run.metricsPath);
    // The first resumed step fails to log; resuming itself rewrites the metrics, so the link is put back by an event.
    const failing = trainFromConfig(tinyRun(output), {
      resume: true,
      onEvent: (event) => {
        if (event.kind !== 'phase' || event.phase !== 'train') return;
        execFileSync('ln', ['-sf', '/dev/full', run.metricsPath]);
      },
    });
    await expect(failing).rejects.toMatchObject({
      code: 'IO',
      message: expect.stringMatching(/no space|disk/i),
    });
    expect((await run.latestCheckpoint())?.step).toBe(saved);
  });

  it('a disk that fills up while a checkpoint is written leaves the earlier ones and no half one', async () => {
    const output = join(scratch, 'full-disk');
    const limitFileSize = (bytes: number | 'unlimited'): void => {
      execFileSync('prlimit', ['--pid', `${process.pid}`, `--fsize=${bytes}:unlimited`]);
    };
    try {
      const failing = trainFromConfig(tinyRun(output), {
        // The limit of a file's size gives the same error path as a full disk, for this process alone.
        onEvent: (event) => {
          if (event.kind === 'checkpoint' && event.step === 2) limitFileSize(100_000);
        },
      });
      await expect(failing).rejects.toMatchObject({ code: 'IO' });
    } finally {
      limitFileSize('unlimited');
    }
    expect(await readdir(join(output, 'checkpoints'))).toEqual(['step-2']);
    await trainFromConfig(tinyRun(output), { resume: true });
    await expectSameEnd(output);
  });

  it('a run that diverges says so and keeps its last checkpoint', async () => {
    const output = join(scratch, 'diverged');
    await trainUntil(tinyRun(output), (event) => event.kind === 'checkpoint');
    const saved = (await new RunDirectory(output).latestCheckpoint())!;
    const before = await tensorsOf(saved.path);
    await expect(
      trainFromConfig(tinyRun(output, { learningRate: 1e30 }), { resume: true, changes: ['learningRate'] }),
    ).rejects.toMatchObject({ code: 'NUMERIC', message: expect.stringMatching(/step \d/) });
    expect(await tensorsOf(saved.path)).toEqual(before);
  });

  it('aborted before training, it throws and leaves a directory that can be used again', async () => {
    const output = join(scratch, 'early');
    await expect(
      trainUntil(tinyRun(output), (event) => event.kind === 'phase' && event.phase === 'data'),
    ).rejects.toMatchObject({ code: 'ABORTED' });
    expect(await trainFromConfig(tinyRun(output, { steps: 1 }))).toMatchObject({ status: 'finished' });
  });

  it.each([
    [
      'tensors that are missing',
      { num_layers: 9 },
      'INVALID_CHECKPOINT',
      /has no tensor encoder\.block\.1\..* more/,
    ],
    ['another family', { model_type: 'longt5' }, 'INVALID_CONFIG', /model_type "longt5"/],
  ])('a model with %s is refused before data are tokenised', async (_, change, code, message) => {
    const init = join(scratch, `start-${code}`);
    await cp(join(FIXTURES, 'families', 't5-v1.0'), init, { recursive: true });
    const file = join(init, 'config.json');
    const stored = JSON.parse(await readFile(file, 'utf8')) as object;
    await writeFile(file, JSON.stringify({ ...stored, ...change }));
    const phases: string[] = [];
    const config = tinyRun(join(scratch, `refused-${code}`));
    await expect(
      trainFromConfig(
        { ...config, model: { ...config.model, init } },
        { onEvent: (event) => event.kind === 'phase' && phases.push(event.phase) },
      ),
    ).rejects.toMatchObject({ code, message: expect.stringMatching(message) as string });
    expect(phases).toEqual([]);
  });

  it('a tokenizer with more ids than the model has embeddings is refused', async () => {
    const config = tinyRun(join(scratch, 'vocabulary'));
    const init = { config: { ...(config.model.init as { config: object }).config, vocab_size: 8000 } };
    await expect(trainFromConfig({ ...config, model: { ...config.model, init } })).rejects.toMatchObject({
      code: 'INVALID_CONFIG',
      message: expect.stringMatching(/8000/),
    });
  });
});
