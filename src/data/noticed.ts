import { instance, optional } from '../util/arguments.js';
import { Notices } from '../util/notices.js';

/**
 * What readers of data have notices of: things that stop nothing, but change what is trained or evaluated on, or that a
 * reader passes over.
 */
export const NOTICED = {
  empty: 'empty files',
  padded: 'gzip files with zeros between their members, where other programs stop reading',
  otherFiles: 'files of other kinds in the folder, which are not read',
  listedTwice: 'tasks listed twice in the split, read once',
  definitions: 'tasks with several definitions, of which the first is used',
  noInstances: 'tasks without instances',
  ids: 'examples with the id of an earlier one, which get a number behind it',
  rows: 'rows with template, source and idx of an earlier one',
  repeated: 'examples with instruction, input and output of an earlier one',
  notListed: 'data files of no dataset that splits.json lists, which are not read',
  noTemplates: 'datasets without a template in templates.json',
  noRows: 'templates of which no row is shown',
  noFields: 'rows left out, because they have no fields or instruction and the form needs them',
  emptyOutputs: 'records with an empty output',
  unshown: 'records with examples that are not shown, since positives is 0',
  otherFields: 'fields that mean nothing here, which are not read',
} as const;

/** What a caller may give to have notices gathered. */
export const NOTICES = optional(instance(Notices, 'a Notices'));

/** Makes ids distinct: one that was there before gets a number. */
export class DistinctIds {
  private readonly seen = new Set<string>();

  constructor(private readonly notices: Notices | undefined) {}

  /** The id, or one made of it that no other example has. */
  of(id: string): string {
    let distinct = id;
    for (let i = 2; this.seen.has(distinct); i++) distinct = `${id}#${i}`;
    this.seen.add(distinct);
    if (distinct !== id) this.notices?.add(NOTICED.ids, id);
    return distinct;
  }
}
