import { z } from 'zod';
import { schemaSentence } from './schema-sentences.js';

/** What is wrong with a value, place by place; see {@link check}. */
export type Faults = readonly [z.core.$ZodIssue, ...z.core.$ZodIssue[]];

/** The result of {@link check}. */
export type Checked<T> =
  { readonly data: T; readonly faults?: undefined } | { readonly data?: undefined; readonly faults: Faults };

// The most faults that are described.
const MOST_FAULTS = 100;

/**
 * Checks a parsed value against a schema. Unlike the schema's own `safeParse` it describes the first hundred faults only,
 * since a megabyte of wrong values would otherwise give a gigabyte of sentences.
 */
export function check<Schema extends z.ZodType>(schema: Schema, value: unknown): Checked<z.output<Schema>> {
  const faults: z.core.$ZodRawIssue[] = [];
  const error = (fault: z.core.$ZodRawIssue): string | undefined => {
    faults.push(fault);
    if (faults.length > MOST_FAULTS) throw new Enough();
    return schemaSentence(fault);
  };
  try {
    const parsed = schema.safeParse(value, { error });
    if (parsed.success) return { data: parsed.data };
    return { faults: parsed.error.issues as unknown as Faults };
  } catch (cause) {
    if (cause instanceof Enough)
      return { faults: faults.map((fault) => z.core.util.finalizeIssue(fault, { error: schemaSentence }, z.config())) as unknown as Faults }; // prettier-ignore
    // zod ran out of stack, because it passes faults as arguments and there were too many, or because the value is
    // nested too deeply.
    if (!(cause instanceof RangeError)) throw cause;
    return { faults: [{ code: 'custom', path: [], message: 'it has too many faults', input: undefined }] };
  }
}

class Enough extends Error {}

/**
 * A list that may be as long as a file: checking ends at its first wrong item, where `z.array` describes every one.
 */
export function listOf<Item extends z.ZodType>(item: Item): z.ZodType<z.output<Item>[]> {
  return z.array(z.unknown()).transform((items, context) => {
    for (let i = 0; i < items.length; i++) {
      const parsed = item.safeParse(items[i], { error: schemaSentence });
      if (!parsed.success) return fail(context, i, parsed.error);
      items[i] = parsed.data;
    }
    return items as z.output<Item>[];
  });
}

function fail(context: z.RefinementCtx, key: PropertyKey, { issues }: z.ZodError): never {
  for (const { path, message } of issues.slice(0, MOST_FAULTS))
    context.addIssue({ code: 'custom', path: [key, ...path], message });
  return z.NEVER;
}
