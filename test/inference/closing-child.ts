// A process that ends engines while they work: node vite-node.mjs closing-child.ts MODEL ENDINGS SEED. ENDINGS is JSON: how many
// times by each. Prints JSON: what became of the work, by ending. A promise that rejects with nobody to hear it ends the process, as
// it would a user's.
import { Engine } from '../../src/inference/engine.js';
import { Device } from '../../src/tensor/device.js';
import { HintError } from '../../src/util/errors.js';
import { openModel } from '../../src/model/families/open-model.js';
import { Tokenizer } from '../../src/formats/tokenizer/tokenizer.js';
import { join } from 'node:path';
import { rm } from 'node:fs/promises';

const [directory, endings, seed] = process.argv.slice(-3) as [string, string, string];

let state = Number(seed);
function random(below: number): number {
  state = (Math.imul(state, 1103515245) + 12345) >>> 0;
  return (state >>> 8) % below;
}

const sleep = (milliseconds: number): Promise<void> =>
  new Promise((resolve) => setTimeout(resolve, milliseconds));

let ending = '';
/** What became of the work that this ending interrupts, by how often. */
let outcomes: Record<string, number> = {};

function watch(name: string, work: Promise<unknown>): Promise<void> {
  const count = (what: string): void => void (outcomes[what] = (outcomes[what] ?? 0) + 1);
  return work.then(
    () => count('answered'),
    (error: unknown) => {
      const code = error instanceof HintError ? error.code : undefined;
      if (code === 'ABORTED') count('aborted');
      else
        count(
          `${name}: ${code ?? 'no HintError'}: ${String(error instanceof Error ? error.message : error)}`,
        );
    },
  );
}

async function openEngine(): Promise<{ engine: Engine; device: Device }> {
  if (ending !== 'device.close') {
    const engine = await Engine.open(directory, { threads: 1 });
    return { engine, device: engine.model.device };
  }
  const device = new Device({ threads: 1 });
  const model = await openModel(device, directory, { mapped: true });
  return { engine: new Engine(model, await Tokenizer.load(join(directory, 'tokenizer.json'))), device };
}

async function leaveScope(engine: Engine): Promise<void> {
  await using scope = engine;
  void scope;
}

async function once(round: number): Promise<void> {
  const controller = new AbortController();
  const { signal } = controller;
  if (ending === 'abort while opening') {
    const opening = watch(
      'open',
      Engine.open(directory, { threads: 1, signal }).then((engine) => engine.close()),
    );
    await sleep(random(20));
    controller.abort(random(2) === 0 ? undefined : 'a reason that is no error');
    return opening;
  }
  const { engine, device } = await openEngine();
  const definitions = ['Name the animal.', 'Count the words.', 'Say the opposite.'];
  const [first, ...others] = await Promise.all(
    definitions.map((definition) => engine.compile({ definition })),
  );
  const distinct = [first!, ...others];
  const file = join(directory, `task-${ending.replaceAll(' ', '-')}.safetensors`);
  const saved = `${file}.saved`;
  await first!.save(saved);
  const input = (i: number): string => `Sentence ${i} ${'is about a horse and '.repeat(i % 3)}two birds.`;
  const common = { signal, maxTokens: 24 };
  const works: Record<string, () => Promise<unknown>[]> = {
    'submit, one task': () =>
      [0, 1, 2, 3].map((i) => engine.submit({ task: first!, input: input(i), ...common })),
    'submit, several tasks': () =>
      distinct.map((task, i) => engine.submit({ task, input: input(i), ...common })),
    'submit, a definition': () => [
      engine.submit({ task: { definition: definitions[random(3)]! }, input: 'A red hat.', ...common }),
    ],
    'submit, waiting': () => [engine.submit({ task: first!, input: input(1), whenFull: 'wait', ...common })],
    'engine.generate': () => [
      engine.generate(
        distinct.map((task, i) => ({ task, input: input(i) })),
        common,
      ),
    ],
    'task.generate': () => [first!.generate([input(0), input(1)], common)],
    'task.generate, beam': () => [first!.generate([input(2)], { ...common, numBeams: 2 })],
    stream: () => [
      (async () => {
        let left = random(2) === 0 ? Infinity : random(4);
        for await (const event of first!.stream([input(0), input(1)], common))
          if (left-- <= 0 && event) break;
      })(),
    ],
    compile: () => [engine.compile({ definition: `Compile number ${round}.`, signal })],
    compileTokens: () => [engine.compileTokens(Int32Array.of(5, 6, 1), { signal })],
    embed: () => [first!.embed([input(0)], { signal }), first!.embedInstruction({ signal })],
    scoreChoices: () => [first!.scoreChoices([input(0)], ['yes', 'no'], { signal })],
    'tasks.get': () => [0, 0, 1].map((i) => engine.tasks.get({ definition: `Get number ${i}.` }, { signal })),
    // Loading begins before the end, too: what begins behind it is refused, and rightly.
    'save and load': () => [first!.save(file, { signal }), engine.tasks.load(saved, { signal })],
    fingerprint: () => [engine.fingerprint()],
  };
  const names = Object.keys(works).filter(() => random(2) === 0);
  const watched: Promise<void>[] = [];
  for (const name of names.length > 0 ? names : ['submit, one task'])
    for (const work of works[name]!()) watched.push(watch(name, work));
  await sleep(random(31));
  if (ending === 'close') await engine.close();
  if (ending === 'close twice') await Promise.all([engine.close(), engine.close()]);
  if (ending === 'await using') await leaveScope(engine);
  if (ending === 'abort') controller.abort(random(2) === 0 ? undefined : 'a reason that is no error');
  if (ending === 'dispose') for (const task of distinct) task.dispose();
  if (ending === 'device.close') device.close();
  await Promise.all(watched);
  if (ending === 'abort')
    watched.push(watch('after', engine.submit({ task: first!, input: 'Still there?', maxTokens: 2 })));
  await Promise.all(watched);
  await engine.close();
  device.close();
  for (const written of [file, saved]) await rm(written, { force: true });
}

process.on('warning', (warning) => (outcomes[`warning: ${warning.message}`] = 1));
const all: Record<string, typeof outcomes> = {};
for (const [name, times] of Object.entries(JSON.parse(endings) as Record<string, number>)) {
  ending = name;
  all[name] = outcomes = {};
  for (let round = 0; round < times; round++) await once(round);
}
process.stdout.write(`${JSON.stringify(all)}\n`);
