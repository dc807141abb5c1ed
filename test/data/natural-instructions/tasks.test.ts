import { cp, mkdtemp, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import {
  chooseTarget,
  parseSniTask,
  readSniTask,
  readSniTaskNames,
  readSniTasks,
  selectInstances,
  sniTaskFile,
  type SniTask,
} from '../../../src/data/natural-instructions/tasks.js';
import { PythonRandom } from '../../../src/util/mt19937.js';

const fixture = new URL('../../fixtures/sni/', import.meta.url).pathname;
const intent = 'task2004_atis_intent_identification';
const good = {
  Definition: ['Say it.'],
  'Positive Examples': [{ input: 'a', output: 'b', explanation: 'c' }],
  'Negative Examples': [],
  Instances: [{ id: 'i', input: 'x', output: ['y', 'z'] }],
};

let folder: string;
beforeAll(async () => {
  folder = await mkdtemp(join(tmpdir(), 'hint-sni-'));
  await cp(fixture, folder, { recursive: true });
});
afterAll(() => rm(folder, { recursive: true, force: true }));

const collect = async (options: Parameters<typeof readSniTasks>[0]): Promise<SniTask[]> => {
  const tasks: SniTask[] = [];
  for await (const task of readSniTasks(options)) tasks.push(task);
  return tasks;
};

describe('readSniTasks', () => {
  it('yields the tasks of a split in the order of its list, 100 instances each', async () => {
    const tasks = await collect({ directory: fixture, split: 'train' });
    expect(tasks.map(({ name }) => name)).toEqual([intent, 'task2008_lama_original_language_of_film']);
    expect(tasks.map(({ instances }) => instances.length)).toEqual([100, 12]);
    expect(tasks[0]!.definition).toMatch(/^In this task you are given one request/);
    expect(tasks[0]!.positiveExamples[1]).toMatchObject({ output: 'abbreviation' });
  });

  it('evaluates on the first instances of the file, unshuffled', async () => {
    const [task] = await collect({ directory: fixture, split: 'test' });
    const all = await readSniTask(sniTaskFile(fixture, task!.name));
    expect(task!.instances).toEqual(all.instances.slice(0, 100));
  });

  it('trains on the instances Python would have picked, the same ones at every call', async () => {
    const all = await readSniTask(sniTaskFile(fixture, intent));
    const order = all.instances.map((_, i) => i);
    new PythonRandom(42).shuffle(order);
    const [task] = await collect({ directory: fixture, split: 'train', instancesPerTask: 30 });
    expect(task!.instances).toEqual(order.slice(0, 30).map((i) => all.instances[i]));
  });

  it('reads one file at a time: a broken second task does not keep the first from coming', async () => {
    await writeFile(
      sniTaskFile(folder, 'task2008_lama_original_language_of_film'),
      '{"Definition": ["cut off',
    );
    const tasks = readSniTasks({ directory: folder, split: 'train' });
    expect((await tasks.next()).value).toMatchObject({ name: intent });
    await expect(tasks.next()).rejects.toMatchObject({ code: 'INVALID_JSON' });
  });

  it('names a listed task whose file is missing', async () => {
    await expect(collect({ directory: fixture, split: 'excluded' })).rejects.toThrow(/task2014.*json/);
  });

  it('stops when aborted', async () => {
    const controller = new AbortController();
    const tasks = readSniTasks({ directory: fixture, split: 'train', signal: controller.signal });
    await tasks.next();
    controller.abort();
    await expect(tasks.next()).rejects.toMatchObject({ code: 'ABORTED' });
  });

  it('refuses a number of instances that is none', async () => {
    for (const instancesPerTask of [0, -1, 1.5, NaN])
      await expect(collect({ directory: fixture, split: 'test', instancesPerTask })).rejects.toMatchObject({
        code: 'INVALID_ARGUMENT',
      });
  });
});

describe('readSniTaskNames', () => {
  it('says what a checkout looks like when given another folder', async () => {
    await expect(readSniTaskNames(join(folder, 'tasks'), 'train')).rejects.toThrow(
      /no folder splits.*git clone/,
    );
  });

  it('lists the tracks there are when the track is unknown, and names an unknown split', async () => {
    await expect(readSniTaskNames(fixture, 'train', 'xlingual')).rejects.toThrow(
      /no track "xlingual".*default/,
    );
    await expect(readSniTaskNames(fixture, 'dev' as 'test')).rejects.toMatchObject({ code: 'NOT_FOUND' });
    await expect(readSniTaskNames(fixture, 'dev' as 'test')).rejects.toThrow(/dev_tasks\.txt.*train, test/);
  });

  it('ignores blank lines, carriage returns and repetitions, and refuses paths and empty lists', async () => {
    const list = join(folder, 'splits', 'default', 'test_tasks.txt');
    await writeFile(list, '\uFEFFb\r\n\r\na \r\nb\r\n');
    expect(await readSniTaskNames(folder, 'test')).toEqual(['b', 'a']);
    await writeFile(list, '../../../etc/passwd\n');
    await expect(readSniTaskNames(folder, 'test')).rejects.toMatchObject({ code: 'INVALID_DATA' });
    await writeFile(list, '\n\n');
    await expect(readSniTaskNames(folder, 'test')).rejects.toThrow(/names no task/);
  });
});

describe('parseSniTask', () => {
  const parse = (changed: object): SniTask =>
    parseSniTask(JSON.stringify({ ...good, ...changed }), '/data/t1.json');

  it('reads the schema of older commits: a string definition, no ids', () => {
    const task = parse({ Definition: 'Say it.', Instances: [{ input: 'x', output: 'y' }] });
    expect(task).toMatchObject({ name: 't1', definition: 'Say it.' });
    expect(task.instances).toEqual([{ id: 't1-0', input: 'x', outputs: ['y'] }]);
  });

  it.each([
    ['Definition', { Definition: undefined }],
    ['Definition', { Definition: [] }],
    ['Definition[0]', { Definition: [' \n'] }],
    ['Positive Examples', { 'Positive Examples': undefined }],
    ['Positive Examples[0].output', { 'Positive Examples': [{ input: 'a' }] }],
    ['Instances', { Instances: undefined }],
    ['Instances[1].input', { Instances: [good.Instances[0], { id: 'j', output: ['y'] }] }],
    ['Instances[0].output', { Instances: [{ id: 'j', input: 'x', output: [] }] }],
    ['Instances[0].output', { Instances: [{ id: 'j', input: 'x', output: 5 }] }],
  ])('names the file and the field when %s is bad', (field, changed) => {
    const attempt = (): unknown => parse(changed);
    expect(attempt).toThrow(`field ${field}`);
    expect(attempt).toThrow('/data/t1.json');
  });

  it('refuses JSON that is no task at all', () => {
    expect(() => parseSniTask('[1, 2]', 'a.json')).toThrow(/a\.json is not a Super-NaturalInstructions task/);
    expect(() => parseSniTask('', 'a.json')).toThrow(/not valid JSON/);
  });

  it('keeps empty inputs and outputs, which occur in the data', () => {
    const [instance] = parse({ Instances: [{ id: 'j', input: '', output: [''] }] }).instances;
    expect(instance).toEqual({ id: 'j', input: '', outputs: [''] });
  });

  it('takes a task that is only to be compiled without examples and instances', () => {
    const task = parseSniTask('{"Definition": "Say it."}', 'own.json', 'prompt');
    expect(task).toMatchObject({ definition: 'Say it.', positiveExamples: [], instances: [] });
  });
});

describe('chooseTarget', () => {
  const instances = Array.from({ length: 300 }, (_, i) => ({
    id: `t-${i}`,
    input: '',
    outputs: ['a', 'b', 'c'],
  }));

  it('depends on the seed and the instance alone', () => {
    const choose = (seed: number): string =>
      instances.map((instance) => chooseTarget(instance, seed)).join('');
    expect(choose(1)).toBe(choose(1));
    expect(choose(1)).not.toBe(choose(2));
  });

  it('takes every reference about equally often', () => {
    for (const output of ['a', 'b', 'c'])
      expect(instances.filter((instance) => chooseTarget(instance, 9) === output).length).toBeGreaterThan(70);
  });
});

describe('selectInstances', () => {
  it('takes what there is when a task has fewer instances, and does not disturb the list', () => {
    const list = ['a', 'b', 'c'].map((id) => ({ id, input: '', outputs: [''] }));
    expect(selectInstances(list, 'train', 100)).toHaveLength(3);
    expect(selectInstances(list, 'test', Infinity)).toEqual(list);
    expect(list.map(({ id }) => id)).toEqual(['a', 'b', 'c']);
  });
});
