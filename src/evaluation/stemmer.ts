/**
 * The Porter stemmer in the extended mode of NLTK, the one behind published ROUGE scores (method §7.5). Words are
 * lower-case ASCII letters and digits; everything that is not one of a, e, i, o, u or a vowel-like y is a consonant.
 */

/** A suffix, what replaces it, and the condition on the stem before it. */
type Rule = readonly [suffix: string, replacement: string, condition: (stem: string) => boolean];

const IRREGULAR: ReadonlyMap<string, string> = new Map([
  ['sky', 'sky'],
  ['skies', 'sky'],
  ['dying', 'die'],
  ['lying', 'lie'],
  ['tying', 'tie'],
  ['news', 'news'],
  ['inning', 'inning'],
  ['innings', 'inning'],
  ['outing', 'outing'],
  ['outings', 'outing'],
  ['canning', 'canning'],
  ['cannings', 'canning'],
  ['howe', 'howe'],
  ['proceed', 'proceed'],
  ['exceed', 'exceed'],
  ['succeed', 'succeed'],
]);

/** Whether each letter is a consonant; a y is one unless the letter before it is. */
function consonants(word: string): boolean[] {
  const flags: boolean[] = [];
  for (const letter of word) {
    if (letter === 'y') flags.push(!flags.at(-1));
    else flags.push(!'aeiou'.includes(letter));
  }
  return flags;
}

/** Porter's m: how often a vowel is followed by a consonant. */
function measure(stem: string): number {
  const flags = consonants(stem);
  let m = 0;
  for (let i = 1; i < flags.length; i++) if (flags[i] && !flags[i - 1]) m++;
  return m;
}

const hasMeasure = (stem: string): boolean => measure(stem) > 0;
const hasLongMeasure = (stem: string): boolean => measure(stem) > 1;
const hasVowel = (stem: string): boolean => consonants(stem).includes(false);
const always = (): boolean => true;

/** *d: ends in the same consonant twice. */
function endsDouble(word: string): boolean {
  return word.length >= 2 && word.at(-1) === word.at(-2) && consonants(word).at(-1) === true;
}

/** *o: ends consonant, vowel, consonant other than w, x, y; or is a vowel and a consonant only. */
function endsShort(word: string): boolean {
  const flags = consonants(word);
  if (flags.length === 2) return !flags[0] && flags[1] === true;
  if (flags.length < 2 || 'wxy'.includes(word.at(-1)!)) return false;
  const [first, vowel, last] = flags.slice(-3);
  return first === true && vowel === false && last === true;
}

/** The first rule whose suffix matches decides, even when its condition then fails. */
function applyFirst(word: string, rules: readonly Rule[]): string {
  for (const [suffix, replacement, condition] of rules) {
    if (!word.endsWith(suffix)) continue;
    const stem = word.slice(0, word.length - suffix.length);
    return condition(stem) ? stem + replacement : word;
  }
  return word;
}

const PLURALS: readonly Rule[] = [
  ['sses', 'ss', always],
  ['ies', 'i', always],
  ['ss', 'ss', always],
  ['s', '', always],
];

function removePlural(word: string): string {
  return word.length === 4 && word.endsWith('ies') ? word.slice(0, -1) : applyFirst(word, PLURALS);
}

function removePastOrGerund(word: string): string {
  if (word.endsWith('ied')) return word.slice(0, word.length === 4 ? -1 : -2);
  if (word.endsWith('eed')) return hasMeasure(word.slice(0, -3)) ? word.slice(0, -1) : word;
  const suffix = ['ed', 'ing'].find((s) => word.endsWith(s));
  if (suffix === undefined) return word;
  const stem = word.slice(0, -suffix.length);
  return hasVowel(stem) ? restoreEnding(stem) : word;
}

/** Restores the word before -ed or -ing: hopp(ing) → hop, fil(ing) → file. */
function restoreEnding(stem: string): string {
  if (stem.endsWith('at') || stem.endsWith('bl') || stem.endsWith('iz')) return stem + 'e';
  if (endsDouble(stem)) return 'lsz'.includes(stem.at(-1)!) ? stem : stem.slice(0, -1);
  return measure(stem) === 1 && endsShort(stem) ? stem + 'e' : stem;
}

function replaceFinalY(word: string): string {
  const stem = word.slice(0, -1);
  return word.endsWith('y') && stem.length > 1 && consonants(stem).at(-1) ? stem + 'i' : word;
}

const DOUBLE_SUFFIXES: readonly Rule[] = [
  ['ational', 'ate', hasMeasure],
  ['tional', 'tion', hasMeasure],
  ['enci', 'ence', hasMeasure],
  ['anci', 'ance', hasMeasure],
  ['izer', 'ize', hasMeasure],
  ['bli', 'ble', hasMeasure],
  ['alli', 'al', hasMeasure],
  ['entli', 'ent', hasMeasure],
  ['eli', 'e', hasMeasure],
  ['ousli', 'ous', hasMeasure],
  ['ization', 'ize', hasMeasure],
  ['ation', 'ate', hasMeasure],
  ['ator', 'ate', hasMeasure],
  ['alism', 'al', hasMeasure],
  ['iveness', 'ive', hasMeasure],
  ['fulness', 'ful', hasMeasure],
  ['ousness', 'ous', hasMeasure],
  ['aliti', 'al', hasMeasure],
  ['iviti', 'ive', hasMeasure],
  ['biliti', 'ble', hasMeasure],
  ['fulli', 'ful', hasMeasure],
  // The l counts towards the measure, so that geology and theology shorten as archaeology does.
  ['logi', 'log', (stem) => hasMeasure(stem + 'l')],
];

function shortenDoubleSuffix(word: string): string {
  // -alli may follow another double suffix (…ationalli), so it is removed first.
  const isAdverb = word.endsWith('alli') && hasMeasure(word.slice(0, -4));
  return applyFirst(isAdverb ? word.slice(0, -2) : word, DOUBLE_SUFFIXES);
}

const DERIVATIONS: readonly Rule[] = [
  ['icate', 'ic', hasMeasure],
  ['ative', '', hasMeasure],
  ['alize', 'al', hasMeasure],
  ['iciti', 'ic', hasMeasure],
  ['ical', 'ic', hasMeasure],
  ['ful', '', hasMeasure],
  ['ness', '', hasMeasure],
];

const endsInSOrT = (stem: string): boolean => stem.endsWith('s') || stem.endsWith('t');

const REMAINDERS: readonly Rule[] = [
  ...['al', 'ance', 'ence', 'er', 'ic', 'able', 'ible', 'ant', 'ement', 'ment', 'ent'].map((suffix): Rule => [
    suffix,
    '',
    hasLongMeasure,
  ]),
  ['ion', '', (stem) => hasLongMeasure(stem) && endsInSOrT(stem)],
  ...['ou', 'ism', 'ate', 'iti', 'ous', 'ive', 'ize'].map((suffix): Rule => [suffix, '', hasLongMeasure]),
];

function removeFinalE(word: string): string {
  if (!word.endsWith('e')) return word;
  const stem = word.slice(0, -1);
  const m = measure(stem);
  return m > 1 || (m === 1 && !endsShort(stem)) ? stem : word;
}

function singleFinalL(word: string): string {
  return word.endsWith('ll') && hasLongMeasure(word.slice(0, -1)) ? word.slice(0, -1) : word;
}

/**
 * The stem of one lower-case word, as NLTK's `PorterStemmer().stem` gives it: ponies → poni, agreed → agre,
 * generously → gener. Words of one or two letters and a few irregular ones have fixed stems.
 */
export function stem(word: string): string {
  const fixed = IRREGULAR.get(word);
  if (fixed !== undefined) return fixed;
  if (word.length <= 2) return word;
  let rest = replaceFinalY(removePastOrGerund(removePlural(word)));
  rest = applyFirst(shortenDoubleSuffix(rest), DERIVATIONS);
  return singleFinalL(removeFinalE(applyFirst(rest, REMAINDERS)));
}
