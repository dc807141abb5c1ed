import { join } from 'node:path';
import { HintError } from '../../util/errors.js';
import { sha256Hex } from '../../util/hash.js';
import { publishedDatasets, publishedName } from '../p3/published-sizes.js';
import { renderDataset } from '../p3/promptsource/write.js';
import { sourceMark } from './source-mark.js';
import type { P3Job, P3Jobs, PrepareP3Options } from './p3-job.js';
import { splitOf } from './p3-tasks.js';
import { datasetAt, noTemplatesOf, TemplateFolder } from './p3-templates.js';

const ROWS = /^(.+)\/([^/]+)\.jsonl(?:\.gz)?$/;
// ANLI names its splits train_r1, dev_r1 and so on.
const ROUND = /^(train|dev|validation|test)_(r[123])$/;

/**
 * What is to be made of raw rows: every promptsource template of their dataset over every row, in the joint and the split form.
 *
 * @param paths of the files below the source
 */
export async function rawJobs(
  { source, folder, templates, seed = 0, signal }: PrepareP3Options,
  paths: readonly string[],
): Promise<P3Jobs> {
  if (templates === undefined)
    throw new HintError(
      'INVALID_ARGUMENT',
      `${source} has no .tfrecord files; if it holds raw rows (DATASET/SUBSET/SPLIT.jsonl), give --templates, promptsource's folder of templates.`,
    );
  const known = await TemplateFolder.open(templates);
  const uses = new Map(publishedDatasets().map(({ dataset, use }) => [dataset, use]));
  const jobs: P3Job[] = [];
  const others = new Set<string>();
  for (const path of paths) {
    const [, at = '', stem = ''] = ROWS.exec(path) ?? [];
    const [, ofRound, round] = ROUND.exec(stem) ?? [];
    const name = round === undefined ? datasetAt(at) : `${datasetAt(at)}_${round}`;
    const use = uses.get(publishedName(name));
    if (!use) {
      if (at !== '') others.add(at);
      continue;
    }
    const split = splitOf(use, (ofRound ?? stem).replace(/^dev$/, 'validation'));
    if (!split) continue;
    const file = known.fileOf(name);
    if (file === undefined) throw noTemplatesOf(templates, at);
    const rows = join(source, path);
    const marks = [await sourceMark(path, rows), await sourceMark('templates', file), String(seed)];
    jobs.push({
      dataset: name,
      split,
      from: sha256Hex(...marks),
      write: async (_path, onRows) => {
        const options = { templates: file, rows, directory: folder, split, seed, signal, onProgress: onRows };
        const summary = await renderDataset(options, name);
        return Object.fromEntries(summary.templates.map((one) => [one.template, one.rows]));
      },
    });
  }
  return { jobs, others: [...others] };
}
