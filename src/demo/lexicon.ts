/** The words of the demo's small world. Every word belongs to one category, so each question has one answer. */

/** Category name to its words. */
export const CATEGORIES: Readonly<Record<string, readonly string[]>> = {
  colour: 'red blue green yellow black white pink brown purple grey'.split(' '),
  animal: 'dog cat horse cow sheep lion tiger wolf bear rabbit'.split(' '),
  fruit: 'apple pear banana cherry lemon grape melon peach plum mango'.split(' '),
  drink: 'tea coffee milk juice water beer wine cider soda cocoa'.split(' '),
  tool: 'hammer saw drill knife spade axe wrench chisel rake ladder'.split(' '),
  instrument: 'piano violin drum flute guitar harp cello trumpet banjo tuba'.split(' '),
  vehicle: 'car bus train bike boat plane truck tram ship taxi'.split(' '),
  garment: 'shirt coat hat scarf dress skirt sock boot glove belt'.split(' '),
  city: 'Paris London Rome Berlin Madrid Tokyo Cairo Oslo Lima Vienna'.split(' '),
  job: 'doctor teacher baker farmer pilot nurse lawyer singer writer judge'.split(' '),
};

export const NAMES: readonly string[] =
  'Anna Tom Maria Peter Lucy David Emma Paul Nina Oscar Clara Hugo Rosa Felix Julia Simon'.split(' ');

/** Number words; index + 1 is the value. Digits up to one more than the list's length are answers of "plus one". */
export const NUMBER_WORDS: readonly string[] =
  'one two three four five six seven eight nine ten eleven twelve'.split(' ');

/**
 * Words an instruction asks to add to the answer. They occur in no input, so that no system can answer without the
 * instruction.
 */
export const LABELS: readonly string[] = 'done okay thanks please sure indeed stop hello maybe finally'.split(
  ' ',
);

/** Field of a record to the category of its values; `name` takes a name. */
export const FIELDS: Readonly<Record<string, string>> = {
  name: 'name',
  pet: 'animal',
  city: 'city',
  job: 'job',
  drink: 'drink',
  colour: 'colour',
  snack: 'fruit',
  hobby: 'instrument',
};

/** Values that a field of a record may have. */
export function fieldValues(field: string): readonly string[] {
  const category = FIELDS[field] ?? 'name';
  return category === 'name' ? NAMES : (CATEGORIES[category] ?? []);
}

/** "a" or "an" for a word of the lexicon. */
export function article(word: string): string {
  return /^[aeiou]/.test(word) ? 'an' : 'a';
}
