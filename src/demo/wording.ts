import type { Format, Operation } from './operations.js';
import type { SeededRandom } from './random.js';
import type { Shape } from './scenes.js';

/** Which wordings to draw from: test tasks use sentences that no training task uses. */
export type Split = 'train' | 'test';

type Wordings = Readonly<Record<Split, readonly string[]>>;

/** Sentences that say what the input is. */
export const INTRODUCTIONS: Readonly<Record<Shape, Wordings>> = {
  words: {
    train: [
      'You are given a list of words.',
      'The input is a row of words.',
      'Here are some words in a line.',
      'You will see several words.',
      'The input has a few words in it.',
    ],
    test: ['Here is a row of several words.', 'You are given a few words in a line.'],
  },
  record: {
    train: [
      'You are given a record with some fields.',
      'The input is a list of fields with a value each.',
      'Here is a card with a few fields.',
      'You will see several fields and what stands in them.',
      'The input has a record in it.',
    ],
    test: ['Here is a record with several fields.', 'You are given a card with some fields in it.'],
  },
  sentence: {
    train: [
      'You are given a sentence.',
      'The input is a short story.',
      'Here is a sentence in which someone gave a thing to someone.',
      'You will see a story of one sentence.',
      'The input has a sentence in it.',
    ],
    test: ['Here is a short story.', 'You are given a short sentence in which someone gave a thing.'],
  },
  numbers: {
    train: [
      'You are given a list of numbers.',
      'The input is a row of numbers.',
      'Here are some numbers in a line.',
      'You will see several numbers.',
      'The input has a few numbers in it.',
    ],
    test: ['Here is a row of several numbers.', 'You are given a few numbers in a line.'],
  },
};

/** Sentences that say what to do: {S} the item, {T} the second item, {L} the word to add. */
export const REQUESTS: Readonly<Record<Format, Wordings>> = {
  plain: {
    train: [
      'Write {S}.',
      'Find {S} and write it.',
      'Your task is to name {S}.',
      'Reply with {S}.',
      'What is {S}?',
      'Give {S} as your answer.',
      'Say {S}.',
      'The answer is {S}.',
    ],
    test: ['Your answer is {S}.', 'Find and name {S}.', 'Your task is to say {S}.'],
  },
  twice: {
    train: [
      'Write {S} twice.',
      'Give {S} two times.',
      'Repeat {S}, so that it comes twice.',
      'Find {S} and say it two times.',
      'Your task is to write {S} and then to write it again.',
      'Reply with {S} and repeat it.',
      'Say {S} twice in a row.',
      'The answer is {S}, two times.',
    ],
    test: [
      'Find {S} and write it twice.',
      'Your answer is {S}, twice in a row.',
      'Say {S}, then say it again.',
    ],
  },
  after: {
    train: [
      'Write {S} and then {L}.',
      'Give {S} followed by {L}.',
      'Find {S} and add {L} after it.',
      'Say {S}, then say {L}.',
      'Your task is to write {S} with {L} behind it.',
      'Reply with {S} and put {L} at the end.',
      'Start with {S} and end with {L}.',
      'The answer is {S}, then {L}.',
    ],
    test: [
      'Find {S}, then put {L} behind it.',
      'Your answer is {S} followed by {L}.',
      'Say {S} and then add {L}.',
    ],
  },
  before: {
    train: [
      'Write {L} and then {S}.',
      'Give {L} followed by {S}.',
      'Find {S} and add {L} in front of it.',
      'Say {L}, then say {S}.',
      'Your task is to write {S} with {L} in front of it.',
      'Reply with {S} and put {L} at the start.',
      'Start with {L} and end with {S}.',
      'The answer is {L}, then {S}.',
    ],
    test: [
      'Find {S}, then put {L} in front of it.',
      'Your answer is {L} followed by {S}.',
      'Say {L} and then name {S}.',
    ],
  },
  kind: {
    train: [
      'Write what kind of thing {S} is.',
      'Name the group of {S}.',
      'Find {S} and write its kind.',
      'Say to which group {S} belongs.',
      'Your task is to name the kind of {S}.',
      'Reply with the group of {S}.',
      'What kind of thing is {S}?',
      'The answer is the kind of {S}.',
    ],
    test: [
      'Find {S} and name its group.',
      'Your answer is the kind of {S}.',
      'Write to which group {S} belongs.',
    ],
  },
  word: {
    train: [
      'Write {S} as a word.',
      'Give {S} in letters.',
      'Find {S} and spell it out.',
      'Turn {S} into a word.',
      'Your task is to spell out {S}.',
      'Reply with {S} in letters.',
      'Spell {S} as a word.',
      'The answer is {S}, written in letters.',
    ],
    test: ['Find {S} and turn it into a word.', 'Your answer is {S} as a word.', 'Write {S} in letters.'],
  },
  next: {
    train: [
      'Add one to {S}.',
      'Write {S} plus one.',
      'Find {S} and count one up.',
      'Take {S} and add one.',
      'Your task is to count one up from {S}.',
      'Reply with {S} plus one.',
      'What is {S} plus one?',
      'The answer is {S} plus one.',
    ],
    test: ['Find {S} and add one.', 'Your answer is {S} plus one.', 'Take {S} and count one up.'],
  },
  pair: {
    train: [
      'Write {S} and then {T}.',
      'Give {S} followed by {T}.',
      'Find {S} and add {T} after it.',
      'Say {S}, then say {T}.',
      'Your task is to write {S} with {T} behind it.',
      'Reply with {S} and put {T} at the end.',
      'Start with {S} and end with {T}.',
      'The answer is {S}, then {T}.',
    ],
    test: [
      'Find {S}, then put {T} behind it.',
      'Your answer is {S} followed by {T}.',
      'Say {S} and then name {T}.',
    ],
  },
};

/** Sentences without influence on the answer. */
export const REMARKS: readonly string[] = [
  'Do not write anything else.',
  'Keep the answer short.',
  'Use the input only.',
  'Give no reason for it.',
];

/** Ways to name the word to add. */
export const LABEL_PHRASES: readonly string[] = ['the word {W}', '{W}', 'the extra word {W}'];

/**
 * A definition of the operation in words. Request and introduction are drawn from `split`; the noun phrases and remarks
 * are shared, so that a test definition holds no word that training never showed.
 */
export function describeOperation(operation: Operation, split: Split, random: SeededRandom): string {
  const { selector, second, format, label } = operation;
  const request = random
    .pick(REQUESTS[format][split])
    .replace('{S}', random.pick(selector.phrases))
    .replace('{T}', second ? random.pick(second.phrases) : '')
    .replace('{L}', label === undefined ? '' : random.pick(LABEL_PHRASES).replace('{W}', label));
  const introduction = random.pick(INTRODUCTIONS[selector.shape][split]);
  const remark = random.next() < 0.5 ? [random.pick(REMARKS)] : [];
  return [introduction, request, ...remark].join(' ');
}
