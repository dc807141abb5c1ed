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

/** The cap of each template of a published dataset. @throws HintError INVALID_DATA for a dataset that is none */
export function publishedCap(dataset: string): number {
  const found = PUBLISHED.get(dataset);
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
