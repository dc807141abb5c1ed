import { HintError } from '../../util/errors.js';

/**
 * Templates and the cap of each, of the datasets that the paper trains on (method §8.1): with these rates a sample of
 * P3 is mixed as the whole is. commonsense_qa stands in for cos_e, which has the same questions.
 */
const PUBLISHED: ReadonlyMap<string, readonly [templates: number, cap: number]> = new Map(
  Object.entries<readonly [number, number]>({
    adversarial_qa_dbidaf: [5, 10_000],
    adversarial_qa_dbert: [5, 10_000],
    adversarial_qa_droberta: [5, 10_000],
    ag_news: [7, 120_000],
    amazon_polarity: [9, 55_555],
    app_reviews: [4, 288_065],
    cnn_dailymail_3_0_0: [9, 287_113],
    common_gen: [9, 67_389],
    cos_e_v1_11: [11, 9_741],
    commonsense_qa: [11, 9_741],
    cosmos_qa: [13, 25_262],
    dbpedia_14: [4, 125_000],
    dream: [5, 6_116],
    duorc_SelfRC: [9, 60_721],
    duorc_ParaphraseRC: [9, 69_524],
    gigaword: [9, 55_555],
    glue_mrpc: [7, 3_668],
    glue_qqp: [6, 363_846],
    imdb: [11, 25_000],
    kilt_tasks_hotpotqa: [5, 88_869],
    multi_news: [6, 44_972],
    paws_labeled_final: [12, 49_401],
    qasc: [8, 8_134],
    quail: [13, 10_246],
    quarel: [5, 1_941],
    quartz: [8, 2_696],
    quoref: [11, 19_399],
    ropes: [12, 10_924],
    rotten_tomatoes: [10, 8_530],
    samsum: [7, 14_732],
    sciq: [5, 11_679],
    social_i_qa: [6, 33_410],
    trec: [18, 5_452],
    wiki_bio: [5, 100_000],
    wiki_hop_original: [9, 43_738],
    wiki_qa: [11, 20_360],
    wiqa: [8, 29_808],
    xsum: [10, 204_045],
    yelp_review_full: [7, 71_428],
  }),
);

/**
 * The templates of the datasets that the paper evaluates on that are of the dataset's own task and have answer choices
 * (method §8.5). A round of ANLI is a dataset.
 */
const EVALUATED: ReadonlyMap<string, number> = new Map(
  Object.entries({
    anli_r1: 15,
    anli_r2: 15,
    anli_r3: 15,
    hellaswag: 4,
    story_cloze_2016: 5,
    super_glue_cb: 15,
    super_glue_copa: 12,
    super_glue_rte: 10,
    super_glue_wic: 10,
    super_glue_wsc_fixed: 10,
    winogrande_winogrande_xl: 5,
  }),
);

/** What a dataset of P3 is in the paper: trained on, or evaluated on, with how many templates. */
export interface PublishedDataset {
  /** As promptsource and P3 name it, but with `_` for each dot. */
  readonly dataset: string;
  readonly use: 'train' | 'eval';
  readonly templates: number;
  /** Rows of a template, or what is used of them; undefined for what is evaluated on. */
  readonly rows: number | undefined;
}

/** The datasets of the paper, commonsense_qa left out. */
export function publishedDatasets(): PublishedDataset[] {
  const trained = [...PUBLISHED].filter(([dataset]) => dataset !== 'commonsense_qa');
  return [
    ...trained.map(([dataset, [templates, rows]]) => ({ dataset, use: 'train' as const, templates, rows })),
    ...[...EVALUATED].map(([dataset, templates]) => ({
      dataset,
      use: 'eval' as const,
      templates,
      rows: undefined,
    })),
  ];
}

/** The name under which a dataset is listed here: P3 writes cnn_dailymail_3.0.0. */
export function publishedName(dataset: string): string {
  return dataset.replaceAll('.', '_');
}

/** The cap of each template of a published dataset. @throws HintError INVALID_DATA for a dataset that is none */
export function publishedCap(dataset: string): number {
  const found = PUBLISHED.get(publishedName(dataset));
  if (found) return found[1];
  throw new HintError(
    'INVALID_DATA',
    `The published mixture has no dataset ${JSON.stringify(dataset)}; leave it out, or mix by the rows that are there (mixture: "rows").`,
  );
}

/** The sum of all caps of the published mixture, commonsense_qa left out. */
export function publishedTotal(): number {
  return [...PUBLISHED].reduce(
    (sum, [name, [templates, cap]]) => sum + (name === 'commonsense_qa' ? 0 : templates * cap),
    0,
  );
}
