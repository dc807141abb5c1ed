import { instructionTask, type InstructionTask } from './dataset.js';
import { inItalian, ITALIAN_CATEGORIES } from './italian.js';
import { CATEGORIES } from './lexicon.js';
import { answer, operationKey, SELECTORS, type Operation } from './operations.js';
import { SeededRandom } from './random.js';
import { wordsScene, type Scene } from './scenes.js';
import { describeOperation } from './wording.js';

/** First number of the cross-lingual tasks. */
const FIRST_TASK = 6001;
const WORDS = 5;

/** How many examples tasks have. */
export interface CrossLingualOptions {
  readonly seed: number;
  /** Instances of a training task. */
  readonly trainInstances: number;
  /** Instances of a test task. */
  readonly testInstances: number;
}

/**
 * The tasks that the cross-lingual track has beside the English ones, as in Super-NaturalInstructions: translations to train
 * on, and tasks that English training shows on English words, on Italian words for the test. Instructions are English.
 */
export function generateCrossLingualTasks({ seed, trainInstances, testInstances }: CrossLingualOptions): {
  train: InstructionTask[];
  test: InstructionTask[];
} {
  let number = FIRST_TASK;
  const train = ITALIAN_CATEGORIES.flatMap((category) =>
    (['Italian', 'English'] as const).map((to) => translation(category, to, number++, trainInstances, seed)),
  );
  const test = testOperations().map((operation) => italianTask(operation, number++, testInstances, seed));
  return { train, test };
}

function translation(
  category: string,
  to: 'Italian' | 'English',
  number: number,
  count: number,
  seed: number,
): InstructionTask {
  const key = `translate_${category}_to_${to.toLowerCase()}`;
  const random = SeededRandom.forPart(seed, key);
  const from = to === 'Italian' ? 'English' : 'Italian';
  const examples = distinct(
    count,
    random,
    (scene) => {
      const word = scene.items.find(({ role }) => role === category)?.word ?? '';
      const italian = wordsScene(scene.items.map((item) => ({ ...item, word: inItalian(item.word) })));
      return to === 'Italian'
        ? { input: scene.text, output: inItalian(word) }
        : { input: italian.text, output: word };
    },
    category,
  );
  return instructionTask({
    name: `task${number}_demo_${key}`,
    category: 'Demo translation',
    definition: `You are given a list of words in ${from}. Write the ${category} in ${to}.`,
    languages: { input: from, output: to },
    domain: 'words',
    examples,
  });
}

/** Requests for one word, once and twice, by its kind and by its place. */
function testOperations(): Operation[] {
  const selectors = SELECTORS.filter(
    ({ shape, key }) => shape === 'words' && [...ITALIAN_CATEGORIES, 'first', 'last'].includes(key),
  );
  return selectors.flatMap((selector) =>
    (['plain', 'twice'] as const).map((format) => ({ selector, format })),
  );
}

function italianTask(operation: Operation, number: number, count: number, seed: number): InstructionTask {
  const key = `italian_${operationKey(operation)}`;
  const random = SeededRandom.forPart(seed, key);
  const definition = describeOperation(operation, 'test', random);
  const examples = distinct(
    count,
    random,
    (scene) => {
      const italian = wordsScene(scene.items.map((item) => ({ ...item, word: inItalian(item.word) })));
      return { input: italian.text, output: answer(operation, italian) ?? '' };
    },
    operation.selector.key,
  );
  return instructionTask({
    name: `task${number}_demo_${key}`,
    category: `Demo ${operation.format}`,
    definition,
    languages: { input: 'Italian', output: 'Italian' },
    domain: 'words',
    examples,
  });
}

interface Pair {
  readonly input: string;
  readonly output: string;
}

/** Examples of as many different inputs, two of them to show. @param needed a category that each input has, if it is one */
function distinct(count: number, random: SeededRandom, make: (scene: Scene) => Pair, needed: string): Pair[] {
  const found = new Map<string, Pair>();
  while (found.size < count + 2) {
    const others = random.shuffled(ITALIAN_CATEGORIES.filter((role) => role !== needed));
    const kinds = ITALIAN_CATEGORIES.includes(needed)
      ? [needed, ...others.slice(0, WORDS - 1)]
      : others.slice(0, WORDS);
    const roles = random.shuffled(kinds);
    const pair = make(wordsScene(roles.map((role) => ({ role, word: random.pick(CATEGORIES[role] ?? []) }))));
    found.set(pair.input, pair);
  }
  return [...found.values()];
}
