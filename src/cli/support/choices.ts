import { InvalidArgumentError } from 'commander';
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
