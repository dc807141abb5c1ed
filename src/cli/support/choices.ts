import { InvalidArgumentError } from 'commander';
import { MOST_SHOTS } from '../../benchmark/lengths.js';
import { HintError } from '../../util/errors.js';
import { PUBLISHED_SIZES } from '../../model/config/sizes.js';

/** Parses a list of words out of `known`, each once. */
export function oneOf<T extends string>(option: string, known: readonly T[]): (text: string) => T[] {
  return (text) => {
    const words = text.split(',').map((word) => word.trim());
    return [
      ...new Set(
        words.map((word) => {
          const match = known.find((value) => value === word);
          if (match !== undefined) return match;
          throw new InvalidArgumentError(`${option} has "${word}"; choose from ${known.join(', ')}.`);
        }),
      ),
    ];
  };
}

/** Checks the value of a --size option. */
export function sizeName(text: string): string {
  if (PUBLISHED_SIZES.some((size) => size === text)) return text;
  throw new InvalidArgumentError(`Choose one of ${PUBLISHED_SIZES.join(', ')}.`);
}

/** `0..5`, `0,2,5` or both mixed. */
export function shotList(text: string): number[] {
  const shots = text.split(',').flatMap((word) => {
    const match = /^\s*(\d+)(?:\.\.(\d+))?\s*$/.exec(word);
    const first = Number(match?.[1]);
    const last = match?.[2] === undefined ? first : Number(match[2]);
    if (!match || last > MOST_SHOTS || first > last) {
      throw new InvalidArgumentError(
        `"${word}" is no number of shots; give numbers and ranges up to ${MOST_SHOTS}, such as 0..5 or 0,2,5.`,
      );
    }
    return Array.from({ length: last - first + 1 }, (_, i) => first + i);
  });
  return [...new Set(shots)].sort((a, b) => a - b);
}

/** Seeds with commas between them, each once. */
export function seedList(text: string): number[] {
  const seeds = text.split(',').map((part) => (part.trim() === '' ? NaN : Number(part)));
  if (seeds.every((seed) => Number.isSafeInteger(seed) && seed >= 0)) return [...new Set(seeds)];
  throw new HintError(
    'INVALID_ARGUMENT',
    `--seeds is ${JSON.stringify(text)}; give whole numbers with commas, such as 0,1.`,
  );
}
