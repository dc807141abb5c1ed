/** A relative-FLOPs figure of the paper, and how closely the paper's formulas give it. */
export interface PaperCell {
  readonly table: 1 | 2 | 3 | 9;
  readonly row: string;
  readonly column: string;
  /** As printed. */
  readonly value: number;
  /** Whether the figure is legible without doubt in the paper's file. */
  readonly legible: boolean;
  /** Largest difference, absolute or as a share of `value`; both null: no stated formula gives the figure. */
  readonly toleranceAbs: number | null;
  readonly toleranceRel: number | null;
}

function cell(given: Pick<PaperCell, 'table' | 'row' | 'column' | 'value'> & Partial<PaperCell>): PaperCell {
  return { legible: true, toleranceAbs: null, toleranceRel: null, ...given };
}

/** Every relative-FLOPs cell of Tables 1, 2, 9 and 3 (Ivison et al., ACL 2023), in the order printed. */
export const PAPER_CELLS: readonly PaperCell[] = [
  cell({
    table: 1,
    row: 'Tk-Instruct (our replication) 250M',
    column: 'Def Rel. FLOPs',
    value: 1,
    toleranceAbs: 0.05,
  }),
  cell({
    table: 1,
    row: 'Tk-Instruct (our replication) 250M',
    column: 'Def + 2 Pos. Rel. FLOPs',
    value: 1.5,
    toleranceAbs: 0.05,
  }),
  cell({
    table: 1,
    row: 'Tk-Instruct (Wang et al., 2022b) 250M',
    column: 'Def + 2 Pos. Rel. FLOPs',
    value: 1.5,
    toleranceAbs: 0.05,
  }),
  cell({
    table: 1,
    row: 'Tk-Instruct + PEFT 250M',
    column: 'Def Rel. FLOPs',
    value: 1.1,
    toleranceAbs: 0.05,
  }),
  cell({
    table: 1,
    row: 'Tk-Instruct + PEFT 250M',
    column: 'Def + 2 Pos. Rel. FLOPs',
    value: 1.6,
    toleranceAbs: 0.05,
  }),
  cell({
    table: 1,
    row: 'Hypter (our replication) 250M',
    column: 'Def Rel. FLOPs',
    value: 0.4,
    toleranceAbs: 0.05,
  }),
  cell({
    table: 1,
    row: 'Hypter (our replication) 250M',
    column: 'Def + 2 Pos. Rel. FLOPs',
    value: 0.4,
    toleranceAbs: 0.05,
  }),
  cell({ table: 1, row: 'HINT (ours) 250M', column: 'Def Rel. FLOPs', value: 0.4, toleranceAbs: 0.05 }),
  cell({
    table: 1,
    row: 'HINT (ours) 250M',
    column: 'Def + 2 Pos. Rel. FLOPs',
    value: 0.4,
    toleranceAbs: 0.05,
  }),
  cell({
    table: 1,
    row: 'Tk-Instruct (our replication) 3B',
    column: 'Def Rel. FLOPs',
    value: 12,
    toleranceAbs: 0.05,
  }),
  cell({
    table: 1,
    row: 'Tk-Instruct (Wang et al., 2022b) 3B',
    column: 'Def Rel. FLOPs',
    value: 12,
    toleranceAbs: 0.05,
  }),
  cell({
    table: 1,
    row: 'Tk-Instruct (our replication) 3B',
    column: 'Def + 2 Pos. Rel. FLOPs',
    value: 17.9,
    toleranceAbs: 0.05,
  }),
  cell({
    table: 1,
    row: 'Tk-Instruct (Wang et al., 2022b) 3B',
    column: 'Def + 2 Pos. Rel. FLOPs',
    value: 17.9,
    toleranceAbs: 0.05,
  }),
  cell({ table: 1, row: 'Tk-Instruct + PEFT 3B', column: 'Def Rel. FLOPs', value: 12.4, toleranceAbs: 0.05 }),
  cell({
    table: 1,
    row: 'Tk-Instruct + PEFT 3B',
    column: 'Def + 2 Pos. Rel. FLOPs',
    value: 18.5,
    toleranceAbs: 0.05,
  }),
  cell({ table: 1, row: 'No-Instruct 3B', column: 'Def Rel. FLOPs', value: 3.9, toleranceRel: 0.04 }),
  cell({ table: 1, row: 'GPT-2 XL 1.5B', column: 'Def Rel. FLOPs', value: 4.1, toleranceAbs: 0.05 }),
  cell({ table: 1, row: 'GPT-2 XL 1.5B', column: 'Def + 2 Pos. Rel. FLOPs', value: 4.2, toleranceAbs: 0.05 }),
  cell({
    table: 1,
    row: 'Hypter (our replication) 3B',
    column: 'Def Rel. FLOPs',
    value: 4.3,
    toleranceRel: 0.02,
  }),
  cell({
    table: 1,
    row: 'Hypter (our replication) 3B',
    column: 'Def + 2 Pos. Rel. FLOPs',
    value: 4.4,
    toleranceRel: 0.02,
  }),
  cell({ table: 1, row: 'HyperTune 3B', column: 'Def Rel. FLOPs', value: 4.1, toleranceAbs: 0.05 }),
  cell({ table: 1, row: 'HyperTune 3B', column: 'Def + 2 Pos. Rel. FLOPs', value: 4.3, toleranceAbs: 0.05 }),
  cell({ table: 1, row: 'HINT (ours) 3B', column: 'Def Rel. FLOPs', value: 4.5, toleranceRel: 0.02 }),
  cell({
    table: 1,
    row: 'HINT (ours) 3B',
    column: 'Def + 2 Pos. Rel. FLOPs',
    value: 4.6,
    toleranceRel: 0.02,
  }),
  cell({
    table: 1,
    row: 'Tk-Instruct (our replication) 11B',
    column: 'Def Rel. FLOPs',
    value: 44,
    toleranceAbs: 0.05,
    legible: false,
  }),
  cell({
    table: 1,
    row: 'Tk-Instruct (our replication) 11B',
    column: 'Def + 2 Pos. Rel. FLOPs',
    value: 65.7,
    toleranceAbs: 0.05,
  }),
  cell({
    table: 1,
    row: 'Tk-Instruct (Wang et al., 2022b) 11B',
    column: 'Def + 2 Pos. Rel. FLOPs',
    value: 65.7,
    toleranceAbs: 0.05,
  }),
  cell({ table: 1, row: 'Tk-Instruct + PEFT 11B', column: 'Def Rel. FLOPs', value: 44, toleranceRel: 0.025 }),
  cell({
    table: 1,
    row: 'Tk-Instruct + PEFT 11B',
    column: 'Def + 2 Pos. Rel. FLOPs',
    value: 65.7,
    toleranceRel: 0.025,
  }),
  cell({ table: 1, row: 'OPT-13B 13B', column: 'Def Rel. FLOPs', value: 15.9 }),
  cell({ table: 1, row: 'OPT-13B 13B', column: 'Def + 2 Pos. Rel. FLOPs', value: 16.4 }),
  cell({
    table: 1,
    row: 'Hypter (our replication) 11B',
    column: 'Def Rel. FLOPs',
    value: 15.3,
    toleranceAbs: 0.05,
  }),
  cell({
    table: 1,
    row: 'Hypter (our replication) 11B',
    column: 'Def + 2 Pos. Rel. FLOPs',
    value: 15.7,
    toleranceAbs: 0.05,
  }),
  cell({ table: 1, row: 'HINT (ours) 11B', column: 'Def Rel. FLOPs', value: 16.1, toleranceRel: 0.02 }),
  cell({
    table: 1,
    row: 'HINT (ours) 11B',
    column: 'Def + 2 Pos. Rel. FLOPs',
    value: 16.5,
    toleranceRel: 0.02,
  }),
  cell({ table: 2, row: 'T0-3B', column: 'Rel. FLOPs', value: 1, toleranceAbs: 0.05 }),
  cell({ table: 2, row: 'T0-3B (our replication)', column: 'Rel. FLOPs', value: 1, toleranceAbs: 0.05 }),
  cell({ table: 2, row: 'T0-3B + PEFT', column: 'Rel. FLOPs', value: 1, toleranceAbs: 0.05 }),
  cell({ table: 2, row: 'No Prompt', column: 'Rel. FLOPs', value: 0.8, toleranceAbs: 0.05 }),
  cell({
    table: 2,
    row: 'Hypter (Joint)',
    column: 'Rel. FLOPs',
    value: 1,
    toleranceAbs: 0.05,
    legible: false,
  }),
  cell({ table: 2, row: 'HINT (Joint)', column: 'Rel. FLOPs', value: 1.1, toleranceAbs: 0.05 }),
  cell({ table: 2, row: 'Hypter (Split)', column: 'Rel. FLOPs', value: 0.8, toleranceAbs: 0.05 }),
  cell({ table: 2, row: 'HINT (Split)', column: 'Rel. FLOPs', value: 0.8, toleranceAbs: 0.06 }),
  cell({ table: 9, row: 'T0-3B', column: 'Rel. FLOPs', value: 1, toleranceAbs: 0.05 }),
  cell({ table: 9, row: 'T0-3B (our replication)', column: 'Rel. FLOPs', value: 1, toleranceAbs: 0.05 }),
  cell({ table: 9, row: 'T0-3B + PEFT', column: 'Rel. FLOPs', value: 1, toleranceAbs: 0.05 }),
  cell({ table: 9, row: 'No Prompt', column: 'Rel. FLOPs', value: 0.8, toleranceAbs: 0.05 }),
  cell({ table: 9, row: 'Hypter (Joint)', column: 'Rel. FLOPs', value: 1, toleranceAbs: 0.05 }),
  cell({ table: 9, row: 'HINT (Joint)', column: 'Rel. FLOPs', value: 1.1, toleranceAbs: 0.05 }),
  cell({ table: 9, row: 'Hypter (Split)', column: 'Rel. FLOPs', value: 0.8, toleranceAbs: 0.05 }),
  cell({ table: 9, row: 'HINT (Split)', column: 'Rel. FLOPs', value: 0.8, toleranceAbs: 0.06 }),
  cell({ table: 3, row: '1-shot', column: 'HINT FLOPs Reduction', value: 2.3, toleranceRel: 0.03 }),
  cell({ table: 3, row: '2-shot', column: 'HINT FLOPs Reduction', value: 3.2, toleranceRel: 0.03 }),
  cell({ table: 3, row: '4-shot', column: 'HINT FLOPs Reduction', value: 5.1, toleranceRel: 0.03 }),
  cell({ table: 3, row: '5-shot', column: 'HINT FLOPs Reduction', value: 6, toleranceRel: 0.03 }),
];
