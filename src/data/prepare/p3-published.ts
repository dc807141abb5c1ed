import { existsSync } from 'node:fs';
import { join } from 'node:path';
import { readP3Templates, parseP3Splits, type P3Template } from '../p3/format.js';
import { mixtureRates } from '../p3/mixture.js';
import { publishedDatasets, publishedName, type PublishedDataset } from '../p3/published-sizes.js';
import { readJson } from '../../util/read-file.js';
import { someOf, type PrepareReport } from './report.js';

/** The paper's count of examples, each dataset counted up to the cap (method §8.1). */
const PAPER_EXAMPLES = 17_277_532;

// What cannot be downloaded by everybody, and how it is got.
const ON_REQUEST: ReadonlyMap<string, string> = new Map([
  [
    'story_cloze_2016',
    'story_cloze_2016 is not part of the published P3: its authors send it to whoever fills in the form at https://cs.rochester.edu/nlp/rocstories. Put its rows into SOURCE/story_cloze/2016/validation.jsonl and prepare them with --templates.',
  ],
]);

/** Compares a P3 folder with what the paper trains and evaluates on. */
export async function compareP3(
  folder: string,
  others: readonly string[],
): Promise<Pick<PrepareReport, 'counts' | 'notes'>> {
  const templates = await templatesIn(folder);
  const published = publishedDatasets();
  const trained = published.filter(({ use }) => use === 'train');
  const evaluated = published.filter(({ use }) => use === 'eval');
  const own = new Map(published.map((one) => [one.dataset, templates.filter(isOf(one))]));
  const has = (one: PublishedDataset): boolean => (own.get(one.dataset) ?? []).length > 0;
  const sum = (of: readonly PublishedDataset[], count: (one: PublishedDataset) => number): number =>
    of.reduce((total, one) => total + count(one), 0);
  const inTraining = templates.filter((template) => trained.some((one) => isOf(one)(template)));
  const rates = mixtureRates(new Map(inTraining.map((one) => [`${one.dataset}_${one.template}`, one])));
  const ranked = (one: PublishedDataset): number =>
    (own.get(one.dataset) ?? []).filter(({ originalTask, hasChoices }) => originalTask && hasChoices).length;
  return {
    counts: [
      { what: 'train: datasets', found: trained.filter(has).length, published: trained.length },
      {
        what: 'train: prompted tasks',
        found: inTraining.length,
        published: sum(trained, (one) => one.templates),
      },
      {
        what: 'train: examples, each dataset up to 500,000',
        found: [...rates.values()].reduce((total, { rate }) => total + rate, 0),
        published: PAPER_EXAMPLES,
      },
      {
        what: 'eval: datasets, rounds of ANLI counted',
        found: evaluated.filter(has).length,
        published: evaluated.length,
      },
      {
        what: 'eval: templates that are ranked',
        found: sum(evaluated, ranked),
        published: sum(evaluated, (one) => one.templates),
      },
    ],
    notes: [
      ...absent(
        'trains on',
        trained.filter((one) => !has(one)),
      ),
      ...absent(
        'evaluates on',
        evaluated.filter((one) => !has(one) && !ON_REQUEST.has(one.dataset)),
      ),
      ...[...ON_REQUEST]
        .filter(([dataset]) => (own.get(dataset) ?? []).length === 0)
        .map(([, sentence]) => sentence),
      ...fewer(trained.filter(has), (one) => own.get(one.dataset) ?? []),
      ...withoutText(templates),
      ...(others.length > 0
        ? [`${others.length} are of no dataset that the paper uses, and are left out: ${someOf(others)}.`]
        : []),
    ],
  };
}

/** The templates of training and evaluation data that are listed; worked examples alone are no dataset. */
async function templatesIn(folder: string): Promise<P3Template[]> {
  const list = join(folder, 'splits.json');
  if (!existsSync(list)) return [];
  const { train, eval: evaluation } = parseP3Splits(await readJson(list, 'the list of splits'), list);
  const there = new Set([...train, ...evaluation]);
  return [...(await readP3Templates(folder)).values()].filter(({ dataset }) => there.has(dataset));
}

function isOf({ dataset }: PublishedDataset): (template: P3Template) => boolean {
  return (template) => publishedName(template.dataset) === dataset;
}

function absent(what: string, datasets: readonly PublishedDataset[]): string[] {
  if (datasets.length === 0) return [];
  return [
    `${datasets.length} datasets that the paper ${what} are not there: ${someOf(datasets.map(({ dataset }) => dataset))}.`,
  ];
}

/** Datasets with fewer templates or rows than the paper's. */
function fewer(
  datasets: readonly PublishedDataset[],
  own: (one: PublishedDataset) => readonly P3Template[],
): string[] {
  const lacking = datasets.flatMap((one) => {
    const [templates, rows] = [own(one).length, Math.max(...own(one).map((template) => template.rows))];
    if (templates >= one.templates && rows >= (one.rows ?? 0)) return [];
    return [`${one.dataset} (${templates} of ${one.templates} templates, ${rows} of ${one.rows} rows)`];
  });
  return lacking.length === 0
    ? []
    : [`${lacking.length} datasets have less than is published: ${someOf(lacking)}.`];
}

function withoutText(templates: readonly P3Template[]): string[] {
  const count = templates.filter(({ instructions }) => instructions.length === 0).length;
  if (count === 0) return [];
  return [
    `${count} templates have no text, so that their rows are read in the form t0 only, and evaluated with --all-templates; give --templates, promptsource's folder of templates.`,
  ];
}
