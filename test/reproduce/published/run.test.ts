import { appendFile, mkdir, mkdtemp, readdir, readFile, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterAll, afterEach, beforeAll, beforeEach, describe, expect, it, vi } from 'vitest';
import { Tokenizer } from '../../../src/formats/tokenizer/tokenizer.js';
import {
  checkPublishedReport,
  findPublished,
  reportOf,
  runPublished,
  writePublishedReport,
  type PublishedEvent,
  type PublishedResult,
  type PublishedSettings,
} from '../../../src/reproduce/published/index.js';
import { exampleIds, loadData } from '../../../src/reproduce/published/load-data.js';
import { HintError } from '../../../src/util/errors.js';
import { startHub, type HubBehaviour, type TestHub } from '../../formats/hub/hub-server.js';
import { GREEDY_MODEL, removeAll, TOKENIZER } from '../../inference/models.js';
import { FIXTURES } from '../../training/tiny.js';
import { MADE } from '../settings.js';
import { filesOf, fixtureT5, RATES, settingsFor, tinyT5 } from './stand-ins.js';

const tkInstruct = findPublished('tk-instruct-base');
const t0 = findPublished('hypertask-t0-3b');

let model: string, folder: string, hub: TestHub | undefined;
beforeAll(async () => {
  model = await tinyT5();
});
afterAll(() => removeAll([model]));
beforeEach(async () => {
  folder = await mkdtemp(join(tmpdir(), 'hint-published-'));
  for (const name of ['HF_TOKEN', 'HUGGING_FACE_HUB_TOKEN', 'HF_HUB_OFFLINE', 'TRANSFORMERS_OFFLINE'])
    vi.stubEnv(name, undefined);
  vi.stubEnv('HF_HUB_CACHE', join(folder, 'cache'));
});
afterEach(async () => {
  vi.unstubAllEnvs();
  await hub?.close();
  hub = undefined;
  await rm(folder, { recursive: true, force: true });
});

async function start(behaviour: HubBehaviour): Promise<TestHub> {
  hub = await startHub({ repository: tkInstruct.repository, ...behaviour });
  vi.stubEnv('HF_ENDPOINT', hub.endpoint);
  return hub;
}

const run = (
  settings: PublishedSettings,
  { signal, events }: { signal?: AbortSignal; events?: PublishedEvent[] } = {},
  published = tkInstruct,
): Promise<PublishedResult> =>
  runPublished(published, settings, {
    signal,
    roofs: () => Promise.resolve(RATES),
    onEvent: (event) => events?.push(event),
  });

async function refused(promise: Promise<unknown>): Promise<string> {
  const error = await promise.then(
    () => undefined,
    (reason: unknown) => reason,
  );
  expect(error).toBeInstanceOf(HintError);
  const { code, message } = error as HintError;
  return `${code}: ${message}`;
}

const output = (): string => join(folder, 'output');
const bytesAsked = (): number =>
  (hub?.requests ?? []).filter(({ path }) => path.includes('/resolve/')).length;

interface Task {
  Definition: string[];
  'Positive Examples': { input: string; output: string }[];
  Instances: { id: string; input: string; output: string[] }[];
}
async function testTask(): Promise<Task> {
  const file = join(FIXTURES, 'sni/tasks/task2012_trec_question_type_classification.json');
  return JSON.parse(await readFile(file, 'utf8')) as Task;
}

describe('a published Tk-Instruct', () => {
  it('is brought in spite of a cut connection, after it was said what comes, and stands beside the paper', async () => {
    await start({ files: await filesOf(model), cuts: [100_000] });
    const events: PublishedEvent[] = [];
    const settings = settingsFor(output());
    const result = await run(settings, { events });
    expect(hub?.requests.some(({ range }) => range === 'bytes=100000-')).toBe(true);
    const bytes = Object.values(hub?.behaviour.files ?? {}).reduce((sum, { length }) => sum + length, 0);
    expect(events[0]).toMatchObject({ kind: 'plan', download: { bytes, missingBytes: bytes } });
    expect(events.find(({ kind }) => kind === 'start')).toMatchObject({ examples: 6, kept: 0 });

    const report = reportOf(result, settings, MADE);
    expect(report).toMatchObject({
      repository: 'allenai/tk-instruct-base-def-pos',
      commit: 'c'.repeat(40),
      metric: 'RougeL',
      complete: true,
      predicted: 6,
      figures: [{ by: 'the paper', place: 'Table 1, Tk-Instruct, Def + 2 Pos, 250M', printed: 42.9 }],
    });
    // A score of six instances of a model that is not the released one says nothing beside 42.9.
    expect(report.figures[0]).not.toHaveProperty('difference');
    expect(report.differences).toEqual([
      expect.stringContaining('another model: width 16'),
      '1 of 119 test tasks',
      'at most 6 instances of each task by --limit, instead of 100',
      '6 instances instead of 11,810',
    ]);
    await checkPublishedReport(tkInstruct, output());
    const files = await writePublishedReport(report, output());
    // Again, over its own files.
    await checkPublishedReport(tkInstruct, output());
    const markdown = await readFile(files[1] as string, 'utf8');
    expect(markdown).toContain('# allenai/tk-instruct-base-def-pos, on sni');
    expect(markdown).toMatch(/\| the paper, Table 1, .* \| 42\.9 \| \d+\.\d\d \| not comparable \|/);
    expect(markdown).toContain('- 1 of 119 test tasks');
    await writeFile(join(output(), 'published-t0-3b.md'), '# My notes');
    expect(await refused(checkPublishedReport(findPublished('t0-3b'), output()))).toMatch(
      /^INVALID_ARGUMENT.*not a report of a published model/,
    );

    // What is in the cache is not said to be downloaded, and what was predicted is not predicted again.
    const again: PublishedEvent[] = [];
    expect((await run(settings, { events: again })).predictions).toEqual(result.predictions);
    expect(again.map(({ kind }) => kind)).not.toContain('plan');
    expect(again.map(({ kind }) => kind)).not.toContain('start');
  });

  it('reads definition, two positive examples and the input in the words of its original', async () => {
    const tokenizer = await Tokenizer.load(TOKENIZER);
    const { examples } = await loadData(tkInstruct, {
      directory: join(FIXTURES, 'sni'),
      tokenizer,
      limit: 1,
      cacheDirectory: join(folder, 'tokens'),
    });
    const { Definition, Instances, 'Positive Examples': shown } = await testTask();
    const dot = (text: string): string => (/[!-/:-@[-`{-~]$/.test(text) ? text : `${text}.`);
    const positives = shown
      .slice(0, 2)
      .map(
        ({ input, output: answer }, i) =>
          ` Positive Example ${i + 1} -\n${dot(`Input: ${input.trim()}`)}\n${dot(` Output: ${answer.trim()}`)}\n\n`,
      );
    const prompt = `${dot(`Definition: ${Definition[0]?.trim()}`)}\n\n${positives.join('')}Now complete the following example -\n${dot(`Input: ${Instances[0]?.input.trim()}`)}\nOutput: `;
    expect(examples[0]?.input).toEqual(tokenizer.encode(prompt));
    expect(examples[0]?.input.at(-1)).toBe(tokenizer.eosId);
  });

  it('goes on after an interruption and a torn line with the predictions that it would have made', async () => {
    const whole = await run(settingsFor(join(folder, 'whole'), { model }));
    const settings = settingsFor(output(), { model });
    const controller = new AbortController();
    const stopped = await runPublished(tkInstruct, settings, {
      signal: controller.signal,
      roofs: () => Promise.resolve(RATES),
      onEvent: (event) => {
        if (event.kind === 'evaluating' && event.done >= 2) controller.abort();
      },
    });
    expect(stopped.predictions).toEqual(whole.predictions.slice(0, 2));
    expect(reportOf(stopped, settings, MADE)).toMatchObject({
      complete: false,
      predicted: 2,
      examples: 6,
      differences: expect.arrayContaining(['2 of 6 examples evaluated so far']) as string[],
    });
    const file = join(stopped.folder, 'predictions.jsonl');
    await appendFile(file, '{"id":"task2012-');
    const events: PublishedEvent[] = [];
    const { predictions } = await run(settings, { events });
    expect(events.find(({ kind }) => kind === 'start')).toMatchObject({ kept: 2 });
    expect(predictions).toEqual(whole.predictions);
    const ids = (await readFile(file, 'utf8')).match(/"id":"[^"]+",/g);
    expect(new Set(ids).size).toBe(6);
    expect(ids).toHaveLength(6);
  });

  it('with another limit or dtype is another evaluation; nothing is mixed', async () => {
    const { folder: first } = await run(settingsFor(output(), { model, limit: 2 }));
    const { folder: second } = await run(settingsFor(output(), { model, limit: 3 }));
    const { folder: third } = await run(settingsFor(output(), { model, limit: 2, dtype: 'bf16' }));
    expect(new Set([first, second, third]).size).toBe(3);
  });

  it('is compared with published predictions instance by instance', async () => {
    const { predictions } = await run(settingsFor(output(), { model }));
    const { Instances } = await testTask();
    const line = (id: string, prediction: string): string =>
      `${JSON.stringify({ Task: 'task2012', id, Instance: { id, output: ['x'] }, prediction })}\n`;
    const published = predictions.slice(0, 4).map(({ id, prediction }, i) => line(id, i === 3 ? 'Number' : ` ${prediction} `)); // prettier-ignore
    const file = join(folder, 'predicted_examples.jsonl');
    await writeFile(file, [...published, line('task9-1', 'y')].join(''));
    const settings = settingsFor(output(), { model, predictions: file });
    const { agreement } = await run(settings);
    expect(agreement).toMatchObject({
      both: 4,
      equal: 3,
      onlyOurs: 2,
      onlyPublished: 1,
      tasks: [{ task: 'task2012_trec_question_type_classification', both: 4, equal: 3 }],
      first: [{ id: Instances[3]?.id, ours: predictions[3]?.prediction, published: 'Number' }],
    });
    // With our references: "Number" is scored as an answer to the fourth question.
    const right = Instances[3]?.output.includes('Number') === true;
    expect(agreement?.publishedScore).toBeCloseTo(right ? 25 + (agreement?.ourScore ?? 0) : (agreement?.ourScore ?? 0), 1); // prettier-ignore
    const [, markdown = ''] = await writePublishedReport(
      reportOf(await run(settings), settings, MADE),
      output(),
    );
    expect(await readFile(markdown, 'utf8')).toContain('3 of 4 predictions (75.0 %) are the published text');
  });
});

describe('before anything is downloaded', () => {
  it('a device, data, predictions and a tokenizer that cannot be used are refused', async () => {
    await start({ files: await filesOf(model) });
    await mkdir(join(folder, 'empty'));
    expect(await refused(run(settingsFor(output(), { data: join(folder, 'empty') })))).toMatch(
      /no Super-NaturalInstructions checkout/,
    );
    expect(await refused(run(settingsFor(output(), { data: join(folder, 'empty') }), {}, t0))).toMatch(
      /no P3 directory/,
    );
    expect(await refused(run(settingsFor(output(), { predictions: join(folder, 'nowhere') })))).toMatch(
      /^NOT_FOUND/,
    );
    expect(await refused(run(settingsFor(output(), { tokenizer: join(folder, 'nowhere') })))).toMatch(
      /^NOT_FOUND: .*the tokenizer/,
    );
    expect(await refused(run(settingsFor(output(), { device: 'cuda:99' })))).toMatch(/cuda/i);
    expect(hub?.requests).toEqual([]);
  });

  it('predictions on other data are refused, and on instances that the limit leaves out', async () => {
    await start({ files: await filesOf(model) });
    const predictions = join(folder, 'predictions.jsonl');
    const refusedOf = async (
      id: string,
      published: typeof t0,
      more: Partial<PublishedSettings>,
    ): Promise<string> => {
      await writeFile(predictions, `${JSON.stringify({ id, prediction: 'x' })}\n`);
      return refused(run(settingsFor(output(), { predictions, ...more }), {}, published));
    };
    const { Instances } = await testTask();
    expect(await refusedOf('task9-1', tkInstruct, {})).toMatch(
      /^INVALID_DATA: None of the 1 published predictions .* "task9-1", the first instance is "task2012-/,
    );
    expect(await refusedOf(Instances[1]!.id, tkInstruct, { limit: 1 })).toMatch(/^INVALID_DATA: None of/);
    const p3 = { data: join(FIXTURES, 'p3'), limit: 2 };
    expect(await refusedOf('task9-1', t0, p3)).toMatch(/the first instance is "super_glue_rte_/);
    expect(hub?.requests).toEqual([]);
  });

  it('a task that is listed and not there is told', async () => {
    await start({ files: await filesOf(model) });
    const data = join(folder, 'sni');
    await mkdir(join(data, 'splits/default'), { recursive: true });
    await writeFile(join(data, 'splits/default/test_tasks.txt'), 'task1_gone\n');
    expect(await refused(run(settingsFor(output(), { data })))).toMatch(/^NOT_FOUND: No file .*task1_gone/);
    expect(hub?.requests).toEqual([]);
  });

  it('the ids of the examples are known as they are evaluated', async () => {
    const tokenizer = await Tokenizer.load(TOKENIZER);
    for (const [published, directory] of [
      [tkInstruct, join(FIXTURES, 'sni')],
      [t0, join(FIXTURES, 'p3')],
    ] as const) {
      const given = { directory, tokenizer, limit: 2, cacheDirectory: join(folder, 'tokens') };
      const { examples } = await loadData(published, given);
      const ids: string[] = [];
      for await (const id of exampleIds(published, given)) ids.push(id);
      expect(ids).toEqual(examples.map(({ id }) => id));
    }
  });

  it('a download that the disk has no room for is refused', async () => {
    await start({
      files: await filesOf(model),
      listing: (entry) => ({ ...entry, size: 1e15, lfs: undefined }),
    });
    const told = await refused(run(settingsFor(output())));
    expect(told).toMatch(/^IO: .* TiB of allenai\/tk-instruct-base-def-pos are to come.*free.*HF_HUB_CACHE/);
    expect(bytesAsked()).toBe(0);
  });
});

describe('a repository or folder that is not the released model', () => {
  it('without weights, without a tokenizer or of another name ends in a sentence', async () => {
    const files = await filesOf(model);
    const without = (name: string): Record<string, Buffer> =>
      Object.fromEntries(Object.entries(files).filter(([file]) => file !== name));
    const server = await start({ files: without('model.safetensors') });
    expect(await refused(run(settingsFor(output())))).toMatch(/^NOT_SUPPORTED.*has no weights that are read/);
    server.behaviour.files = without('tokenizer.json');
    expect(await refused(run(settingsFor(output())))).toMatch(/^NOT_FOUND.*has no tokenizer/);
    // Nothing comes of weights that could not be used.
    expect(bytesAsked()).toBe(0);
    server.behaviour.repository = 'google/tiny';
    expect(await refused(run(settingsFor(output())))).toMatch(
      /^NOT_FOUND: allenai\/tk-instruct-base-def-pos/,
    );
  });

  it('is refused by what it is', async () => {
    expect(await refused(run(settingsFor(output(), { model: GREEDY_MODEL })))).toMatch(
      /^NOT_SUPPORTED.*a T5 with a hypernetwork.*is a plain T5/,
    );
    const [gpt2 = ''] = (await readdir(join(FIXTURES, 'decoder-only'))).filter((name) =>
      name.startsWith('gpt2'),
    );
    expect(
      await refused(run(settingsFor(output(), { model: join(FIXTURES, 'decoder-only', gpt2) }))),
    ).toMatch(/^NOT_SUPPORTED.*a GPT-2 model/);
  });
});

describe('a published T0', () => {
  it.each(['bin-shards', 'flax-shards'] as const)(
    'of %s ranks the choices of the named data sets only, and says what is missing',
    async (form) => {
      await start({ repository: t0.repository, files: await filesOf(await fixtureT5(folder, form)) });
      const settings = settingsFor(output(), { data: join(FIXTURES, 'p3'), limit: 2 });
      const result = await run(settings, {}, t0);
      expect(result.predictions).toHaveLength(6);
      for (const { task, prediction, choices = [], scores = [] } of result.predictions) {
        expect(task).toMatch(/^super_glue_rte_/);
        expect(scores).toHaveLength(choices.length);
        expect(prediction).toBe(choices[scores.indexOf(Math.max(...scores))]);
      }
      const report = reportOf(result, settings, MADE);
      expect(report.metric).toBe('accuracy');
      expect(report.parts).toEqual([
        { name: 'RTE', score: report.score, templates: 3, instances: 6, printed: 81.2 },
      ]);
      expect(report.figures.map(({ printed, overSame }) => [printed, overSame])).toEqual([
        [64.4, undefined],
        [64.4, 81.2],
      ]);
      expect(report.differences).toEqual([
        expect.stringContaining('another model'),
        'without ANLI R1, ANLI R2, ANLI R3, HellaSwag, StoryCloze, CB, COPA, WiC, WSC, WinoGrande',
        'super_glue_rte: 3 of 10 templates',
        'super_glue_rte: 6 of 277 instances',
        'at most 2 rows of each template by --limit',
      ]);
      const files = await writePublishedReport(report, output());
      expect(files.map((file) => file.replace(/.*\./, ''))).toEqual(['json', 'md', 'svg', 'png']);
      expect(await readFile(files[2] as string, 'utf8')).toMatch(/>printed<[^]*>RTE<[^]*>mean</);
      await checkPublishedReport(t0, output());
      // Goes on from choices and log probabilities that were kept, and makes anew what is none of an example.
      const file = join(result.folder, 'predictions.jsonl');
      const [first = '', second = '', ...rest] = (await readFile(file, 'utf8')).split('\n');
      const strange = first.replace(/"prediction":"[^"]*"/, '"prediction":"Perhaps"');
      await writeFile(
        file,
        [strange, second.replace(/"scores":\[[^\]]*\]/, '"scores":[1]'), ...rest].join('\n'),
      );
      const events: PublishedEvent[] = [];
      expect((await run(settings, { events }, t0)).predictions).toEqual(result.predictions);
      expect(events.find(({ kind }) => kind === 'start')).toMatchObject({ kept: 4 });
    },
  );
});
