import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterAll, beforeAll } from 'vitest';
import * as api from '../../src/index.js';
import * as testing from '../../src/testing/index.js';
import { ops, type Tensor } from '../../src/tensor/index.js';
import { openModel } from '../../src/model/families/open-model.js';
import { createOptimizer } from '../../src/training/run/prepare.js';
import { FULL_HINT, removeAll, tinyConfig, TOKENIZER, writeModel } from '../inference/models.js';

/** A public function with valid arguments; files that they name do not exist. */
export interface Call {
  args: Record<string, unknown>;
  run: (args: never[]) => unknown;
  /** Names of arguments that are checked without a declaration. */
  undeclared?: readonly string[];
}

export const nowhere = join(tmpdir(), 'hint-nowhere');
export const directories: string[] = [];
export let engine: api.Engine;
export let other: api.Engine;
export let task: api.Task;
export let foreign: api.Task;
export let tokenizer: api.Tokenizer;
let model: api.HintModel;
let example: api.TokenizedExample;

beforeAll(async () => {
  directories.push(await writeModel(tinyConfig(FULL_HINT)));
  engine = await api.Engine.open(directories[0]!, { threads: 1 });
  other = await api.Engine.open(directories[0]!, { threads: 1 });
  task = await engine.compile({ definition: 'Name the animal.' });
  foreign = await other.compile({ definition: 'Name the animal.' });
  tokenizer = await api.Tokenizer.load(TOKENIZER);
  model = engine.model as api.HintModel;
  const ids = Int32Array.of(5, 1);
  example = { id: '1', task: 'a', instruction: ids, input: ids, target: ids, references: ['yes'] };
});

afterAll(async () => {
  await engine.close();
  await other.close();
  await removeAll(directories);
});

const call = (
  args: Record<string, unknown>,
  run: (...args: never[]) => unknown,
  undeclared?: string[],
): Call => ({
  args,
  run: (list) => run(...list),
  ...(undeclared ? { undeclared } : {}),
});

export const first = async (generator: unknown): Promise<unknown> => (generator as AsyncGenerator).next();

/**
 * For every export its functions, or the reason why it has none here. Made when a test runs, because the engine must be
 * built.
 */
/** A family that owns no model and recognises no directory. */
function noFamily(): object {
  const never = (): boolean => false;
  const names = ['recognises', 'owns', 'checkConfig', 'open', 'start', 'prompts', 'readsInstruction'];
  names.push('systemOf', 'compile', 'openNetwork', 'choiceLosses', 'multiplyAdds');
  const methods = Object.fromEntries(names.map((name) => [name, never]));
  return { name: 'none', title: 'no model', ...methods };
}

export const calls: Record<string, string | (() => Record<string, Call>)> = {
  HintError: 'an error that refused what it is made of would hide what it is about',
  limits: 'it takes nothing',
  Notices: 'it only gathers what readers of data add to it',
  setLimits: () => ({ setLimits: call({ changed: { bytes: 2 ** 28, seconds: 10 } }, api.setLimits) }),
  Engine: () => ({
    open: call({ directory: nowhere, options: { serving: {}, taskCache: {} } }, api.Engine.open),
    new: call(
      { model, tokenizer, ownsDevice: false, options: { serving: {}, taskCache: {} } },
      (...args) => new api.Engine(...(args as unknown as [api.HintModel])),
    ),
    compile: call({ request: { definition: 'Count.', examples: [{ input: 'a', output: 'b' }] } }, (request) =>
      engine.compile(request),
    ),
    plain: call({ options: {} }, (...args) => engine.plain(...(args as []))),
    compileTokens: call({ ids: Int32Array.of(5, 1), options: {} }, (...args) =>
      engine.compileTokens(...(args as unknown as [Int32Array])),
    ),
    loadTask: call({ path: nowhere, options: {} }, (...args) =>
      engine.loadTask(...(args as unknown as [string])),
    ),
    submit: call({ request: { task, input: 'A dog.', maxTokens: 1 } }, (request) => engine.submit(request)),
    generate: call({ requests: [{ task, input: 'A dog.', maxTokens: 1 }], options: {} }, (...args) =>
      engine.generate(...(args as unknown as [[]])),
    ),
    'tasks.get': call({ request: { definition: 'Count.' }, options: {} }, (...args) =>
      engine.tasks.get(...(args as unknown as [api.CompileRequest])),
    ),
    'tasks.load': call({ path: nowhere, options: {} }, (...args) =>
      engine.tasks.load(...(args as unknown as [string])),
    ),
    'tasks.find': call({ request: { definition: 'Count.' } }, (request) => engine.tasks.find(request)),
    'tasks.evict': call({ request: { definition: 'Count.' } }, (request) => engine.tasks.evict(request)),
  }),
  Group: () => ({
    join: call({ launcher: 'alone', limits: { start: 60 } }, async (launcher, limits) => {
      const group = await api.Group.join(launcher, limits);
      await group.close();
    }),
  }),
  launcherOf: () => ({
    launcherOf: call({ environment: { PMI_SIZE: '1' } }, (environment) => api.launcherOf(environment)),
  }),
  Task: () => ({
    new: call({ host: engine }, (host) => void new api.Task(host, {} as never, undefined)),
    generate: call({ inputs: ['A dog.'], options: { maxTokens: 1, stop: ['x'] } }, (...args) =>
      task.generate(...(args as unknown as [string])),
    ),
    stream: call({ inputs: ['A dog.'], options: { maxTokens: 1 } }, (...args) =>
      first(task.stream(...(args as unknown as [string]))),
    ),
    inputTokens: call({ input: 'A dog.' }, (input) => task.inputTokens(input)),
    scoreChoices: call({ inputs: ['A dog.'], choices: ['yes', 'no'], options: {} }, (...args) =>
      task.scoreChoices(...(args as unknown as [string, string[]])),
    ),
    embed: call({ inputs: ['A dog.'], options: {} }, (...args) =>
      task.embed(...(args as unknown as [string])),
    ),
    train: call({ examples: [{ input: 'A dog.', output: 'dog' }], options: { steps: 1 } }, (...args) =>
      task.train(...(args as unknown as [{ input: string; output: string }[]])),
    ),
    embedInstruction: call({ options: {} }, (options) => task.embedInstruction(options)),
    save: call({ path: join(nowhere, 'task'), options: {} }, (...args) =>
      task.save(...(args as unknown as [string])),
    ),
  }),
  generateTokens: () => ({
    generateTokens: call(
      {
        model,
        request: { instructions: [Int32Array.of(5, 1)], inputs: [Int32Array.of(5, 1)], maxTokens: 1 },
      },
      api.generateTokens,
    ),
  }),
  scoreChoices: () => ({
    scoreChoices: call(
      {
        model,
        request: {
          instructions: [Int32Array.of(5, 1)],
          inputs: [Int32Array.of(5, 1)],
          choices: [[Int32Array.of(6, 1)]],
        },
      },
      api.scoreChoices,
    ),
  }),
  evaluateP3: () => ({
    evaluateP3: call(
      { evaluated: { model, tokenizer }, set: { examples: [], templates: new Map() }, options: {} },
      api.evaluateP3,
    ),
  }),
  evaluateModel: () => ({
    evaluateModel: call(
      { evaluated: { model, tokenizer }, examples: [example], options: { maxTokens: 1 } },
      api.evaluateModel,
    ),
  }),
  scoreFile: () => ({ scoreFile: call({ predictionsPath: nowhere, options: {} }, api.scoreFile) }),
  scorePredictions: () => ({
    scorePredictions: call(
      { predictions: [{ id: '1', prediction: 'a', references: ['a'] }], references: new Map([['1', ['a']]]) },
      api.scorePredictions,
    ),
  }),
  rougeLF1: () => ({ rougeLF1: call({ prediction: 'a', references: ['a'] }, api.rougeLF1) }),
  isExactMatch: () => ({ isExactMatch: call({ prediction: 'a', references: ['a'] }, api.isExactMatch) }),
  inferenceFlops: () => ({
    inferenceFlops: call(
      {
        config: tinyConfig(FULL_HINT),
        lengths: { instruction: 4, input: 4, output: 4, examples: 2, instructionInInput: false },
      },
      api.inferenceFlops,
    ),
  }),
  parseTrainingConfig: () => ({
    parseTrainingConfig: call({ json: trainingConfig(), source: 'the run' }, api.parseTrainingConfig, [
      'json',
    ]),
  }),
  readTrainingConfig: () => ({
    readTrainingConfig: call({ file: nowhere, overrides: [] }, api.readTrainingConfig),
  }),
  trainFromConfig: () => ({
    trainFromConfig: call({ config: trainingConfig(), options: { resume: true } }, api.trainFromConfig, [
      'config',
    ]),
  }),
  TextSource: () => ({
    open: call({ options: textOptions() }, (options) => api.TextSource.open(options)),
    next: call({ count: 0 }, async (count) =>
      (await api.TextSource.open(textOptions() as never)).next(count),
    ),
    restore: call(
      { state: { epoch: 0, block: 0, group: 0, shard: 0, line: 0, byte: 0, position: 0 } },
      async (state) => (await api.TextSource.open(textOptions() as never)).restore(state),
      ['state'],
    ),
  }),
  findTextFiles: () => ({
    findTextFiles: call({ patterns: [nowhere], documents: 'line' }, api.findTextFiles),
  }),
  PoolSource: () => ({
    new: call(
      { pool: [example], seed: 1, fingerprint: 'a' },
      (...args) => new api.PoolSource(...(args as unknown as [[], 0, ''])),
    ),
    of: call({ pool: [example], seed: 1 }, (...args) => api.PoolSource.of(...(args as unknown as [[], 0]))),
    next: call({ count: 1 }, (count) => new api.PoolSource([example], 0, 'a').next(count)),
    restore: call(
      { state: { epoch: 0, position: 0 } },
      (state) => new api.PoolSource([example], 0, 'a').restore(state),
      ['state'],
    ),
  }),
  P3Source: () => ({ open: call({ options: p3Options() }, (options) => api.P3Source.open(options)) }),
  Trainer: () => ({
    new: call(
      { parts: trainerParts, settings: trainerSettings },
      (...args) => new api.Trainer(...(args as unknown as [never, never])),
    ),
    restore: call({ state: { step: 0, tokens: 0, source: { epoch: 0, position: 0 } } }, (state) =>
      new api.Trainer(trainerParts, trainerSettings).restore(state),
    ),
    steps: call({ options: {} }, (options) =>
      first(new api.Trainer(trainerParts, trainerSettings).steps(options)),
    ),
  }),
  findSystem: () => ({ findSystem: call({ name: 'hint' }, api.findSystem, ['name']) }),
  openModel: () => ({
    openModel: call({ device: model.device, directory: nowhere, options: {} }, api.openModel),
  }),
  registerFamily: () => ({ registerFamily: call({ family: noFamily() }, api.registerFamily) }),
  loadModel: () => ({
    loadModel: call({ device: model.device, directory: nowhere, options: {} }, api.loadModel),
  }),
  saveModel: () => ({
    saveModel: call(
      { model, directory: join(TOKENIZER, 'no-folder'), options: { metadata: { a: 'b' } } },
      api.saveModel,
    ),
  }),
  modelFingerprint: () => ({ modelFingerprint: call({ model }, api.modelFingerprint) }),
  HintModel: () => ({
    new: call(
      { device: model.device, config: model.config, parameters: model.parameters },
      (...args) => new api.HintModel(...(args as unknown as [never, never, never])),
    ),
  }),
  T5Model: () => ({
    new: call(
      { device: model.device, config: tinyConfig(null), parameters: model.parameters },
      (...args) => new api.T5Model(...(args as unknown as [never, never, never])),
    ),
  }),
  buildModel: () => ({
    buildModel: call(
      { device: model.device, config: model.config, parameters: model.parameters },
      api.buildModel,
    ),
  }),
  initialiseParameters: () => ({
    initialiseParameters: call(
      { device: model.device, config: tinyConfig(null), seed: 1 },
      api.initialiseParameters,
    ),
  }),
  ParameterStore: () => ({
    new: call({ tensors: new Map() }, (tensors) => new api.ParameterStore(tensors)),
    get: call({ name: 'lm_head.weight' }, (name) => model.parameters.get(name), ['name']),
    hold: call(
      { name: 'lm_head.weight', dtype: 'f32' },
      (...args) => model.parameters.hold(...(args as unknown as [string, 'f32'])),
      ['name'],
    ),
  }),
  parseModelConfig: () => ({
    parseModelConfig: call(
      { json: api.serializeModelConfig(model.config), source: 'a' },
      api.parseModelConfig,
      ['json'],
    ),
  }),
  readModelConfig: () => ({ readModelConfig: call({ directory: nowhere }, api.readModelConfig) }),
  serializeModelConfig: () => ({
    serializeModelConfig: call({ config: tinyConfig(FULL_HINT) }, api.serializeModelConfig),
  }),
  parameterCount: () => ({
    parameterCount: call({ config: tinyConfig(FULL_HINT), prefix: 'a' }, api.parameterCount),
  }),
  parameterShapes: () => ({ parameterShapes: call({ config: tinyConfig(FULL_HINT) }, api.parameterShapes) }),
  openWeights: () => ({ openWeights: call({ path: nowhere }, api.openWeights) }),
  convertCheckpoint: () => ({
    convertCheckpoint: call(
      { source: nowhere, destination: nowhere, options: { check: true, shardBytes: 1 } },
      api.convertCheckpoint,
      ['source', 'destination'],
    ),
  }),
  openSafetensors: () => ({ openSafetensors: call({ path: nowhere }, api.openSafetensors) }),
  writeSafetensors: () => ({
    writeSafetensors: call(
      {
        path: join(nowhere, 'file'),
        tensors: [{ name: 'a', dtype: 'F32', shape: [1], data: new Uint8Array(4) }],
        metadata: { a: 'b' },
      },
      api.writeSafetensors,
    ),
  }),
  Tokenizer: () => ({
    load: call({ path: nowhere }, (path) => api.Tokenizer.load(path)),
    encode: call({ text: 'A dog.', options: {} }, (...args) =>
      tokenizer.encode(...(args as unknown as [string])),
    ),
    decode: call({ ids: [5], options: {} }, (...args) =>
      tokenizer.decode(...(args as unknown as [number[]])),
    ),
    truncate: call({ text: 'A dog.', maxTokens: 1 }, (...args) =>
      tokenizer.truncate(...(args as unknown as [string, number])),
    ),
    tokenLength: call({ text: 'A dog.' }, (text) => tokenizer.tokenLength(text)),
    decodeAnswer: call({ ids: [5] }, (ids) => tokenizer.decodeAnswer(ids)),
    decodePrediction: call({ ids: [5] }, (ids) => tokenizer.decodePrediction(ids)),
  }),
  loadSniDataset: () => ({ loadSniDataset: call({ options: sniOptions() }, api.loadSniDataset) }),
  streamSniDataset: () => ({
    streamSniDataset: call({ options: sniOptions() }, (options) => first(api.streamSniDataset(options))),
  }),
  loadP3Evaluation: () => ({ loadP3Evaluation: call({ options: p3Options() }, api.loadP3Evaluation) }),
  renderPromptsource: () => ({
    renderPromptsource: call(
      { options: { templates: nowhere, rows: nowhere, directory: nowhere, split: 'train' } },
      api.renderPromptsource,
    ),
  }),
  buildBatch: () => ({ buildBatch: call({ examples: [example] }, api.buildBatch) }),
  openTinyEngine: () => ({
    openTinyEngine: call({ options: { seed: 1, words: ['red'], threads: 1 } }, async (options) => {
      const opened = await testing.openTinyEngine(options);
      await opened.close();
    }),
  }),
  writeTinyModel: () => ({
    writeTinyModel: call(
      { directory: join(TOKENIZER, 'no-folder'), options: { seed: 1, words: ['red'] } },
      testing.writeTinyModel,
    ),
  }),
  checkGradients: () => ({
    checkGradients: call(
      {
        device: model.device,
        build: (x: Tensor) => ops.scale(x, 2),
        inputs: [model.device.full([1], 1)],
        options: { step: 0.01 },
      },
      testing.checkGradients,
    ),
  }),
  assertClose: () => ({
    assertClose: call(
      { actual: Float32Array.of(1), expected: Float32Array.of(1), bound: 0, name: 'a' },
      testing.assertClose,
    ),
  }),
  relativeDifference: () => ({
    relativeDifference: call(
      { actual: Float32Array.of(1), expected: Float32Array.of(1) },
      testing.relativeDifference,
    ),
  }),
};

const trainingConfig = (): api.TrainingConfig =>
  api.parseTrainingConfig({
    model: { init: nowhere },
    data: { directory: nowhere },
    output: join(nowhere, 'run'),
  });
const sniOptions = () => ({
  directory: nowhere,
  split: 'train',
  setting: { format: 'hint', positives: 0 },
  tokenizer,
  threads: 0,
});
const p3Options = () => ({
  directory: nowhere,
  split: 'train',
  setting: { form: 'joint', shots: 0 },
  tokenizer,
  threads: 0,
});
const textOptions = () => ({
  files: [{ path: TOKENIZER, form: 'text-lines', gzip: false, bytes: 10 }],
  tokenizer,
  settings: {
    objective: 'hint',
    splits: 'independent',
    segmentTokens: 16,
    maxDocumentTokens: 16,
    lastSegment: 'pad',
    seed: 0,
  },
  column: 'text',
  documentsPerGroup: 2,
  shuffleBuffer: 2,
  threads: 0,
});
const trainerSettings = {
  batchSize: 1,
  tokenBudget: 64,
  schedule: { kind: 'constant', learningRate: 1e-3, warmupSteps: 0, steps: 0 },
  firstStep: 0,
  dropout: 0,
  generatorDropout: 0,
  zLoss: 0,
  seed: 0,
  backward: 'none',
} as const;
let trainerParts: ConstructorParameters<typeof api.Trainer>[0];

beforeAll(async () => {
  const config = trainingConfig();
  const own = await openModel(model.device, directories[0]!);
  const optimizer = await createOptimizer(own, config, api.findSystem('hint'));
  trainerParts = { model: own, source: new api.PoolSource([example], 0, 'a'), optimizer };
});
