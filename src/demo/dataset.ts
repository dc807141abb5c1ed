import { createHash } from 'node:crypto';
import { HintError } from '../util/errors.js';
import { LABELS } from './lexicon.js';
import {
  answer,
  isNeighbour,
  operationKey,
  pairOperations,
  singleOperations,
  type Operation,
} from './operations.js';
import { SeededRandom } from './random.js';
import { SHAPES, makeScene, type Scene, type Shape } from './scenes.js';
import { describeOperation, type Split } from './wording.js';

/** One example with its explanation, as Super-NaturalInstructions writes positive and negative examples. */
export interface InstructionExample {
  readonly input: string;
  readonly output: string;
  readonly explanation: string;
}

/** A task in the schema of Super-NaturalInstructions, plus the `name` of its file. */
export interface InstructionTask {
  readonly name: string;
  readonly Contributors: readonly string[];
  readonly Source: readonly string[];
  readonly URL: readonly string[];
  readonly Categories: readonly string[];
  readonly Reasoning: readonly string[];
  readonly Definition: readonly string[];
  readonly Input_language: readonly string[];
  readonly Output_language: readonly string[];
  readonly Instruction_language: readonly string[];
  readonly Domains: readonly string[];
  readonly 'Positive Examples': readonly InstructionExample[];
  readonly 'Negative Examples': readonly InstructionExample[];
  readonly Instances: readonly {
    readonly id: string;
    readonly input: string;
    readonly output: readonly string[];
  }[];
  readonly 'Instance License': readonly string[];
}

/** Instances of a task where nothing else is said. */
export const TRAIN_INSTANCES = 30;
export const TEST_INSTANCES = 10;

export interface DemoDatasetOptions {
  /** Decides all random choices: the same seed gives the same dataset. */
  readonly seed: number;
  /** Wordings, each a task of its own, of a training operation (default 3). */
  readonly wordings?: number;
  /** Instances of a training task, at most 100 (default 30). */
  readonly trainInstances?: number;
  /** Instances of a test task, at most 100 (default 10). */
  readonly testInstances?: number;
}

/** Operations of training and of test. Each half of a test combination occurs in training, the combination does not. */
export interface OperationPlan {
  readonly train: readonly Operation[];
  readonly test: readonly Operation[];
}

const POOL_SIZE: Readonly<Record<Split, number>> = { train: 1200, test: 400 };
const PAIRS: Readonly<Record<Split, number>> = { train: 90, test: 20 };
const HELD_OUT_SINGLES = 30;

/**
 * Divides the operations. Plain requests always stay in training, except for neighbours ("the word after the animal"),
 * whose two halves, relation and category, both occur elsewhere.
 */
export function planOperations(seed: number): OperationPlan {
  const random = SeededRandom.forPart(seed, 'operations');
  const singles = random.shuffled(singleOperations());
  const mayHoldOut = ({ selector, format }: Operation): boolean =>
    format !== 'plain' || isNeighbour(selector);
  const heldOut = new Set(singles.filter(mayHoldOut).slice(0, HELD_OUT_SINGLES));
  const pairs = random.shuffled(pairOperations());
  return {
    train: [...singles.filter((operation) => !heldOut.has(operation)), ...pairs.slice(0, PAIRS.train)],
    test: [...heldOut, ...pairs.slice(PAIRS.train, PAIRS.train + PAIRS.test)],
  };
}

/** The operation with a word to add, where its format adds one. Every wording of an operation gets its own. */
export function withLabel(operation: Operation, random: SeededRandom): Operation {
  const needsLabel = operation.format === 'after' || operation.format === 'before';
  return needsLabel ? { ...operation, label: random.pick(LABELS) } : operation;
}

function scenePools(seed: number, split: Split): Record<Shape, Scene[]> {
  const random = SeededRandom.forPart(seed, `scenes ${split}`);
  const pool = (shape: Shape): Scene[] =>
    Array.from({ length: POOL_SIZE[split] }, () => makeScene(shape, random));
  return Object.fromEntries(SHAPES.map((shape) => [shape, pool(shape)])) as Record<Shape, Scene[]>;
}

/** Example pairs of an operation from a pool, without repeated inputs. */
function examplesOf(operation: Operation, pool: readonly Scene[], count: number, random: SeededRandom) {
  const found = new Map<string, string>();
  for (const scene of random.shuffled(pool)) {
    if (found.size === count) break;
    const output = answer(operation, scene);
    if (output !== undefined) found.set(scene.text, output);
  }
  return [...found].map(([input, output]) => ({ input, output }));
}

function makeTask(
  operation: Operation,
  number: number,
  count: number,
  pool: readonly Scene[],
  random: SeededRandom,
  definition: string,
): InstructionTask {
  return instructionTask({
    name: `task${number}_demo_${operationKey(operation)}`,
    category: `Demo ${operation.format}`,
    definition,
    languages: { input: 'English', output: 'English' },
    domain: operation.selector.shape,
    examples: examplesOf(operation, pool, count + 2, random),
  });
}

/** What the parts of a task say. */
export interface TaskParts {
  /** Begins with `task` and its number. */
  readonly name: string;
  readonly category: string;
  readonly definition: string;
  readonly languages: { readonly input: string; readonly output: string };
  readonly domain: string;
  /** The first two become positive examples. */
  readonly examples: readonly { readonly input: string; readonly output: string }[];
}

/** A task in the schema of Super-NaturalInstructions. */
export function instructionTask(parts: TaskParts): InstructionTask {
  const { name, category, definition, languages, domain, examples } = parts;
  const [first, second, ...rest] = examples;
  const positive = [first, second].flatMap((example) =>
    example ? [{ ...example, explanation: 'This is what the definition asks for.' }] : [],
  );
  const id = (input: string): string => createHash('md5').update(`${name}\n${input}`).digest('hex');
  return {
    name,
    Contributors: ['hint-engine'],
    Source: ['demo'],
    URL: [],
    Categories: [category],
    Reasoning: [],
    Definition: [definition],
    Input_language: [languages.input],
    Output_language: [languages.output],
    Instruction_language: ['English'],
    Domains: [domain],
    'Positive Examples': positive,
    'Negative Examples': [],
    Instances: rest.map(({ input, output }) => ({
      id: `${name.split('_')[0]}-${id(input)}`,
      input,
      output: [output],
    })),
    'Instance License': ['Apache-2.0'],
  };
}

/** First number of the demo's tasks: above those of the real collection, so both can lie in one folder. */
const FIRST_TASK = 4001;

/**
 * The demo's tasks. Inputs of a shape come from one pool, so that the same input occurs under many instructions and
 * cannot be answered without one. Test tasks differ from training tasks in their sentences and in their inputs, and two
 * thirds of them also in what is asked: a combination of item and format that no training task asks for.
 *
 * @throws HintError INVALID_ARGUMENT for counts outside 1 to 100.
 */
export function generateDemoDataset(options: DemoDatasetOptions): {
  train: InstructionTask[];
  test: InstructionTask[];
} {
  const { seed, wordings = 3, trainInstances = TRAIN_INSTANCES, testInstances = TEST_INSTANCES } = options;
  for (const [what, value] of Object.entries({ wordings, trainInstances, testInstances })) {
    if (!Number.isInteger(value) || value < 1 || value > 100) {
      throw new HintError('INVALID_ARGUMENT', `${what} is ${value}; give a whole number from 1 to 100.`);
    }
  }
  const plan = planOperations(seed);
  const tasks = {
    train: plan.train.filter(({ selector }) => !isNeighbour(selector)),
    test: plan.test.filter(({ selector }) => !isNeighbour(selector)),
  };
  const pools = { train: scenePools(seed, 'train'), test: scenePools(seed, 'test') };
  let number = FIRST_TASK;
  const build = (
    operations: readonly Operation[],
    split: Split,
    repeats: number,
    count: number,
  ): InstructionTask[] =>
    operations.flatMap((operation) => {
      const random = SeededRandom.forPart(seed, `${split} ${operationKey(operation)}`);
      const variants = new Map<string, Operation>();
      while (variants.size < repeats) {
        const variant = withLabel(operation, random);
        variants.set(describeOperation(variant, split, random), variant);
      }
      const pool = pools[split][operation.selector.shape];
      return [...variants].map(([text, variant]) => makeTask(variant, number++, count, pool, random, text));
    });
  const known = SeededRandom.forPart(seed, 'known')
    .shuffled(tasks.train)
    .slice(0, Math.ceil(tasks.test.length / 2));
  return {
    train: build(tasks.train, 'train', wordings, trainInstances),
    test: build([...tasks.test, ...known], 'test', 1, testInstances),
  };
}
