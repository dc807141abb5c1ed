import { PythonError } from '../python/values.js';
import type { Filter } from './filter.js';
import { LIST_FILTERS } from './list-filters.js';
import { NUMBER_FILTERS } from './number-filters.js';
import { TEXT_FILTERS } from './text-filters.js';

// Jinja has them; they draw pages or lay out text in ways that no template of data needs.
const UNSUPPORTED = ['pprint', 'urlize', 'wordwrap'];

/** Jinja's filters by name, and promptsource's `choice`, `most_frequent` and `highlight`. */
export const FILTERS: ReadonlyMap<string, Filter> = new Map([
  ...Object.entries({ ...TEXT_FILTERS, ...NUMBER_FILTERS, ...LIST_FILTERS }),
  ...UNSUPPORTED.map((name): [string, Filter] => [
    name,
    () => {
      throw new PythonError('NotSupported', `the filter '${name}' is not supported`);
    },
  ]),
]);
