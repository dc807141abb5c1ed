import { basename } from 'node:path';
import type { TrainingConfig } from '../config/config.js';

/** A published model that a run started from, as the cache of the hub names it. */
export interface PublishedBase {
  /** owner/name. */
  readonly name: string;
  readonly commit: string;
}

// Where a run computed, read and wrote.
const PLACES = new Set(['output', 'device', 'threads', 'memoryBudget']);

/**
 * The settings of a run as anyone may read them: of a path its last part is left, and what only says where the run computed,
 * read and wrote is left out.
 */
export function publicSettings(config: TrainingConfig): Record<string, unknown> {
  const { init, tokenizer, ...model } = config.model;
  const { validation } = config;
  return {
    ...Object.fromEntries(Object.entries(config).filter(([key]) => !PLACES.has(key))),
    model: {
      init: typeof init === 'string' ? baseName(init) : init,
      ...(tokenizer === undefined ? {} : { tokenizer: baseName(tokenizer) }),
      ...model,
    },
    data: withoutPlaces(config.data),
    ...(validation === undefined
      ? {}
      : {
          validation:
            validation.data === undefined
              ? validation
              : { ...validation, data: withoutPlaces(validation.data) },
        }),
  };
}

/** The hub's model that a folder in its cache is; undefined for any other folder. */
export function publishedBase(init: TrainingConfig['model']['init']): PublishedBase | undefined {
  if (typeof init !== 'string') return undefined;
  const [, owner, name, commit] =
    /\/models--([^/]+?)--([^/]+)\/snapshots\/([0-9a-f]{40})\/?$/.exec(init) ?? [];
  return owner === undefined || commit === undefined ? undefined : { name: `${owner}/${name}`, commit };
}

/** What a folder may be called where nobody knows the folders around it. */
export function baseName(path: string): string {
  return publishedBase(path)?.name ?? basename(path);
}

function withoutPlaces(data: object): Record<string, unknown> {
  return Object.fromEntries(
    Object.entries(data).flatMap(([key, value]) => {
      if (key === 'cache') return [];
      if (key === 'directory') return [[key, baseName(String(value))]];
      if (key === 'files') return [[key, (value as string[]).map(baseName)]];
      return [[key, value]];
    }),
  );
}
