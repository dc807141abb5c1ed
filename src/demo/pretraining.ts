import { planOperations, withLabel } from './dataset.js';
import { answer, type Format, type Operation } from './operations.js';
import { SeededRandom } from './random.js';
import { SHAPES, makeScene, type Scene, type Shape } from './scenes.js';
import { describeOperation } from './wording.js';

/** A source text and its continuation. */
export interface TextPair {
  readonly input: string;
  readonly target: string;
}

/** Sentences that state a fact about an input: {S} the item, {T} a second one, {L} an added word, {A} the answer. */
export const STATEMENTS: Readonly<Record<Format, readonly string[]>> = {
  plain: ['{S} is {A}.'],
  twice: ['{S}, twice, is {A}.', '{S} two times is {A}.'],
  after: ['{S} followed by {L} is {A}.', '{S} with {L} behind it is {A}.'],
  before: ['{L} followed by {S} is {A}.', '{S} with {L} in front of it is {A}.'],
  kind: ['The kind of {S} is {A}.', 'The group of {S} is {A}.'],
  word: ['{S} in letters is {A}.', '{S} as a word is {A}.'],
  next: ['{S} plus one is {A}.', 'One added to {S} is {A}.'],
  pair: ['{S} followed by {T} is {A}.', '{S} and then {T} are {A}.'],
};

/**
 * Statements that list all items. They teach positions early: each of their words is predictable from the one before, a
 * far denser signal than "the third word is ...".
 */
export const LISTINGS: Readonly<Record<'forward' | 'backward', readonly string[]>> = {
  forward: ['In order, the input is {A}.', 'From the start to the end, the input is {A}.'],
  backward: ['In reverse, the input is {A}.', 'From the end to the start, the input is {A}.'],
};

/** How much more often a bare fact is stated than anything else about the same item. */
const PLAIN_SHARE = 0.5;
const DEFINITION_SHARE = 0.1;
const LISTING_SHARE = 0.2;
const STATEMENTS_PER_TEXT = 3;
/** Share of texts that are cut directly after the input; the others are cut anywhere in the statements. */
const CUT_BEHIND_INPUT_SHARE = 0.5;

function stateFact(operation: Operation, scene: Scene, random: SeededRandom): string | undefined {
  const result = answer(operation, scene);
  if (result === undefined) return undefined;
  const sentence = random
    .pick(STATEMENTS[operation.format])
    .replace('{S}', random.pick(operation.selector.phrases))
    .replace('{T}', operation.second ? random.pick(operation.second.phrases) : '')
    .replace('{L}', operation.label ?? '')
    .replace('{A}', result);
  return sentence.charAt(0).toUpperCase() + sentence.slice(1);
}

function listItems(scene: Scene, random: SeededRandom): string | undefined {
  if (scene.shape === 'sentence') return undefined;
  const words = scene.items.map((item) => item.word);
  const forward = random.next() < 0.5;
  const list = forward ? words : words.toReversed();
  return random.pick(LISTINGS[forward ? 'forward' : 'backward']).replace('{A}', list.join(' '));
}

function operationsByShape(operations: readonly Operation[], plain: boolean): Record<Shape, Operation[]> {
  const of = (shape: Shape): Operation[] =>
    operations.filter(
      (operation) => operation.selector.shape === shape && (operation.format === 'plain') === plain,
    );
  return Object.fromEntries(SHAPES.map((shape) => [shape, of(shape)])) as Record<Shape, Operation[]>;
}

/** Cuts a text between two words. */
function splitAt(words: readonly string[], at: number): TextPair {
  return { input: words.slice(0, at).join(' '), target: words.slice(at).join(' ') };
}

/**
 * The text that the demo's small T5 is pretrained on, as prefix and continuation (prefix LM): inputs followed by
 * statements about them, cut at a random place after the input, and wordings of training tasks. No request is ever
 * answered in it, and neither combinations nor sentences of the test tasks of the same seed occur.
 */
export function* generatePretrainingPairs(options: { seed: number; documents: number }): Generator<TextPair> {
  const { seed, documents } = options;
  const { train } = planOperations(seed);
  const plain = operationsByShape(train, true);
  const other = operationsByShape(train, false);
  const random = SeededRandom.forPart(seed, 'pretraining');
  for (let i = 0; i < documents; i++) {
    if (random.next() < DEFINITION_SHARE) {
      const words = describeOperation(withLabel(random.pick(train), random), 'train', random).split(' ');
      yield splitAt(words, 1 + random.below(words.length - 1));
      continue;
    }
    const shape = random.pick(SHAPES);
    const scene = makeScene(shape, random);
    const facts: string[] = [];
    while (facts.length < STATEMENTS_PER_TEXT) {
      const operations = random.next() < PLAIN_SHARE ? plain[shape] : other[shape];
      const fact =
        random.next() < LISTING_SHARE
          ? listItems(scene, random)
          : stateFact(withLabel(random.pick(operations), random), scene, random);
      if (fact !== undefined) facts.push(fact);
    }
    const source = scene.text.split(' ');
    const statements = facts.join(' ').split(' ');
    const cut = random.next() < CUT_BEHIND_INPUT_SHARE ? 0 : random.below(statements.length - 1);
    yield splitAt([...source, ...statements], source.length + cut);
  }
}
