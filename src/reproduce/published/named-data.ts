/** A data set of P3, or a round of one, as its evaluation is published. */
export interface NamedDataset {
  readonly name: string;
  /** How its files are named in a P3 directory. */
  readonly folder: RegExp;
  readonly templates: number;
  /** Rows of its validation split. */
  readonly instances: number;
}

/** The data that an evaluation was published on, by counts, so that a reader sees what other data lack. */
export type NamedData =
  | {
      readonly kind: 'sni';
      /** For sentences, with its article. */
      readonly title: string;
      readonly tasks: number;
      /** At most so many of each task, the first of its file. */
      readonly instancesPerTask: number;
      readonly instances: number;
    }
  | { readonly kind: 'p3'; readonly title: string; readonly datasets: readonly NamedDataset[] };

/** Test tasks of the English track (method §7.1). */
export const SNI_TEST: NamedData = {
  kind: 'sni',
  title: 'the test tasks of Super-NaturalInstructions v2.6, English track',
  tasks: 119,
  instancesPerTask: 100,
  instances: 11_810,
};

const named = (name: string, folder: RegExp, templates: number, instances: number): NamedDataset => ({
  name,
  folder,
  templates,
  instances,
});

/** The held-out data sets of T0, validation splits, in the order of tables (method §8.5). */
export const P3_HELD_OUT: NamedData & { kind: 'p3' } = {
  kind: 'p3',
  title: "P3's prompts of T0's nine held-out data sets, validation splits",
  datasets: [
    named('ANLI R1', /^anli_r1$/, 15, 1000),
    named('ANLI R2', /^anli_r2$/, 15, 1000),
    named('ANLI R3', /^anli_r3$/, 15, 1200),
    named('HellaSwag', /^hellaswag$/, 4, 10_042),
    named('StoryCloze', /^story_?cloze(_2016)?$/, 5, 1871),
    named('CB', /^super_glue_cb$/, 15, 56),
    named('COPA', /^super_glue_copa$/, 12, 100),
    named('RTE', /^super_glue_rte$/, 10, 277),
    named('WiC', /^super_glue_wic$/, 10, 638),
    named('WSC', /^super_glue_wsc([._]fixed)?$/, 10, 104),
    named('WinoGrande', /^winogrande(_winogrande)?(_xl)?$/, 5, 1267),
  ],
};
