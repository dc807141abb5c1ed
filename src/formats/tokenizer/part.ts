import { z } from 'zod';
import { HintError } from '../../util/errors.js';
import { isPlainObject } from '../../util/record-schema.js';
import { check } from '../../util/check.js';
import { showValue } from '../../util/show-value.js';
import { Expression } from './expression/expression.js';
import { placesOf } from './span.js';

// Tokenizers have up to ten.
const MOST_PARTS = 64;
const MOST_LEVELS = 16;
// How many times as long a text may become by replacements that follow one another.
const MOST_GROWTH = 64;

/** One character, which may be two UTF-16 units. */
export const character = z
  .string()
  .refine((text) => [...text].length === 1, { error: 'must be one character' });

export const pattern = z.union([z.object({ String: z.string() }), z.object({ Regex: z.string() })]);

/**
 * Reads the parts of one place in a tokenizer.json: what is counted, how deeply they nest and how errors name them is the same
 * for all.
 */
export class PartReader {
  private parts = 0;
  private levels = 0;
  private growth = 1;

  /**
   * @param file names the file in errors
   * @param place `normalizer` and the like
   */
  constructor(
    readonly file: string,
    readonly place: string,
  ) {}

  /** The name of a part, which says how the rest of it is read. */
  typeOf(json: unknown): string {
    if (++this.parts > MOST_PARTS) this.refuse(`more than ${MOST_PARTS} parts`);
    const type = isPlainObject(json) ? json.type : undefined;
    if (typeof type !== 'string') this.refuse(`a part without a type, ${showValue(json)},`);
    return type as string;
  }

  /** The parts of a sequence, read one level deeper. */
  within<T>(read: () => T): T {
    if (++this.levels > MOST_LEVELS) this.refuse(`more than ${MOST_LEVELS} levels of sequences`);
    const result = read();
    this.levels--;
    return result;
  }

  fields<Schema extends z.ZodType>(schema: Schema, json: unknown, type: string): z.output<Schema> {
    const { data, faults } = check(schema, json);
    if (!faults) return data;
    const [issue] = faults;
    throw new HintError(
      'INVALID_FILE',
      `${this.file}: field ${[this.place, type, ...issue.path].join('.')} ${issue.message}. Fetch it again.`,
    );
  }

  /** Finds the matches of a pattern in a text: pairs of start and end. */
  finder(value: z.output<typeof pattern>): (text: string) => number[] {
    if ('String' in value && value.String !== '') return (text) => placesOf(text, value.String);
    const source = 'Regex' in value ? value.Regex : '';
    const expression = new Expression(source, `${this.file}: its ${this.place}`);
    return (text) => expression.matches(text);
  }

  /** Counts how many times as long a part may make a text. */
  grows(factor: number): void {
    this.growth *= Math.max(1, factor);
    if (this.growth > MOST_GROWTH)
      this.refuse(`replacements that make a text more than ${MOST_GROWTH} times as long`);
  }

  /** {@link grows}, of a part that replaces matches. */
  growsBy(content: string, value: z.output<typeof pattern>): void {
    // An expression, and the empty text, may match at every place.
    const replaced = 'String' in value && value.String !== '' ? value.String.length : 0;
    this.grows(replaced > 0 ? content.length / replaced : content.length + 1);
  }

  unknown(type: string): never {
    throw new HintError(
      'INVALID_FILE',
      `${this.file} has ${showValue(type)} in its ${this.place}, which is not supported; give a tokenizer without it.`,
    );
  }

  refuse(what: string): never {
    throw new HintError('INVALID_FILE', `${this.file} has ${what} in its ${this.place}; fetch it again.`);
  }
}
