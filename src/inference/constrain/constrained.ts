import type { Tokenizer } from '../../formats/tokenizer/tokenizer.js';
import { HintError } from '../../util/errors.js';
import type { Decoding } from '../decode/decoding.js';
import type { ConstrainedRows } from './constrained-rows.js';
import type { Constraint } from './constraint.js';
import type { Grammars } from './grammars.js';

/**
 * Does work whose answers follow a constraint, if there is one.
 *
 * @param rows inputs that are answered
 * @throws HintError INVALID_ARGUMENT, also for beam search; ABORTED, or what the work throws
 */
export async function constrained<T>(
  grammars: Grammars,
  request: {
    readonly constraint: Constraint | undefined;
    readonly tokenizer: () => Tokenizer;
    readonly decoding: Decoding;
    readonly rows: number;
    readonly signal: AbortSignal | undefined;
  },
  work: (rows: ConstrainedRows | undefined) => Promise<T>,
): Promise<T> {
  const { constraint, tokenizer, decoding, rows, signal } = request;
  if (!constraint) return work(undefined);
  if (decoding.kind === 'beam')
    throw new HintError(
      'INVALID_ARGUMENT',
      'constrain does not go with beam search; leave numBeams and decode out, or choose greedy or sample.',
    );
  const own = await grammars.open(tokenizer(), constraint, rows, signal);
  try {
    return await work(own);
  } finally {
    await own.close();
  }
}
