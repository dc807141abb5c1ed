import { HintError } from '../util/errors.js';
import { kindOf } from './shape.js';

/** Splits `cuda:1` into kind and index. @throws HintError INVALID_ARGUMENT */
export function parseDevice(name: string): { kind: 'cpu' | 'cuda'; index: number } {
  const match = typeof name === 'string' ? /^(cpu|cuda)(?::(\d{1,4}))?$/.exec(name) : null;
  if (!match || (match[1] === 'cpu' && match[2] !== undefined))
    throw new HintError(
      'INVALID_ARGUMENT',
      `The device ${kindOf(name)} is unknown; use cpu, cuda or cuda:N.`,
    );
  return { kind: match[1] as 'cpu' | 'cuda', index: Number(match[2] ?? 0) };
}
