import { z } from 'zod';

const MOST = 2 ** 31 - 1;

/** A whole number from `min` to `max`. */
export const count = (min: number, max = MOST): z.ZodInt => z.int().min(min).max(max);

/** A share from 0 to below 1, such as a dropout rate or the decay of a moment. */
export const share = (): z.ZodNumber => z.number().min(0).lt(1);

/** A step of a schedule, which counts the steps that came before the run. */
export const step = (): z.ZodInt =>
  z
    .int()
    .min(0)
    .max(2 ** 40);

/** Text that can be a path: not empty, and without NUL. */
export const text = (): z.ZodString =>
  z
    .string()
    .min(1)
    .refine((value) => !value.includes('\0'), { error: 'must not hold NUL' });
