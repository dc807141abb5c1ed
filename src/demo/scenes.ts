import { CATEGORIES, FIELDS, NAMES, NUMBER_WORDS, article, fieldValues } from './lexicon.js';
import type { SeededRandom } from './random.js';

/** The four kinds of input. */
export const SHAPES = ['words', 'record', 'sentence', 'numbers'] as const;
export type Shape = (typeof SHAPES)[number];

/** Something an answer can name: the word as written in the input, and what it is there (category, field or role). */
export interface SceneItem {
  readonly word: string;
  readonly role: string;
}

/** One input: its text and the items in the order in which they stand in it (roles of a sentence: in no order). */
export interface Scene {
  readonly shape: Shape;
  readonly text: string;
  readonly items: readonly SceneItem[];
}

/** Roles of a sentence. */
export const SENTENCE_ROLES = ['giver', 'receiver', 'thing', 'colour', 'city'] as const;

/** Slots: G giver, R receiver, T thing, C colour, P place. Giver and receiver stand in either order. */
const SENTENCES: readonly string[] = [
  'G gave a C T to R in P',
  'G gave R a C T in P',
  'In P G gave a C T to R',
  'In P R got a C T from G',
  'R got a C T from G in P',
  'R was in P and got a C T from G',
];

/**
 * Marks where an input starts and ends. T5 has relative positions only: "the third word" needs a fixed first token to
 * count from, whatever text an input is put into.
 */
const HEADINGS: Readonly<Record<Shape, string>> = {
  words: 'Words',
  record: 'Record',
  sentence: 'Story',
  numbers: 'Numbers',
};

function framed(shape: Shape, content: string): string {
  return `${HEADINGS[shape]}: ${content}.`;
}

function wordScene(random: SeededRandom): Scene {
  const roles = random.shuffled(Object.keys(CATEGORIES)).slice(0, 5 + random.below(3));
  const items = roles.map((role) => ({ role, word: random.pick(CATEGORIES[role] ?? []) }));
  return wordsScene(items);
}

/** The list of some words as an input. */
export function wordsScene(items: readonly SceneItem[]): Scene {
  return { shape: 'words', items, text: framed('words', items.map((item) => item.word).join(' ')) };
}

function recordScene(random: SeededRandom): Scene {
  const fields = random.shuffled(Object.keys(FIELDS)).slice(0, 4 + random.below(2));
  const items = fields.map((role) => ({ role, word: random.pick(fieldValues(role)) }));
  return {
    shape: 'record',
    items,
    text: framed('record', items.map((item) => `${item.role} ${item.word}`).join(', ')),
  };
}

function sentenceScene(random: SeededRandom): Scene {
  const [giver = '', receiver = ''] = random.shuffled(NAMES);
  const thing = random.pick([...(CATEGORIES.garment ?? []), ...(CATEGORIES.vehicle ?? [])]);
  const colour = random.pick(CATEGORIES.colour ?? []);
  const city = random.pick(CATEGORIES.city ?? []);
  const slots: Record<string, string> = {
    G: giver,
    R: receiver,
    T: thing,
    C: colour,
    P: city,
    a: article(colour),
  };
  const text = random.pick(SENTENCES).replace(/\b[GRTCPa]\b/g, (slot) => slots[slot] ?? slot);
  const words: Record<(typeof SENTENCE_ROLES)[number], string> = { giver, receiver, thing, colour, city };
  return {
    shape: 'sentence',
    text: framed('sentence', text),
    items: SENTENCE_ROLES.map((role) => ({ role, word: words[role] })),
  };
}

function numberScene(random: SeededRandom): Scene {
  const values = random.shuffled(NUMBER_WORDS.map((_, i) => i + 1)).slice(0, 4 + random.below(3));
  const items = values.map((value) => ({ role: 'number', word: String(value) }));
  return { shape: 'numbers', items, text: framed('numbers', values.join(' ')) };
}

const MAKERS: Readonly<Record<Shape, (random: SeededRandom) => Scene>> = {
  words: wordScene,
  record: recordScene,
  sentence: sentenceScene,
  numbers: numberScene,
};

/** Words that inputs contain besides the lexicon's, for the tokenizer. */
export function sceneWords(): string[] {
  const fixed = SENTENCES.flatMap((sentence) => sentence.split(' '));
  return [
    ...fixed.filter((word) => !/^[GRTCP]$/.test(word)),
    'an',
    ...Object.values(HEADINGS),
    ...Object.keys(FIELDS),
  ];
}

/** A random input of one shape. */
export function makeScene(shape: Shape, random: SeededRandom): Scene {
  return MAKERS[shape](random);
}
