/** The sizes that the paper's tables name; T5's base, xl and xxl. */
export type PaperSize = '250M' | '3B' | '11B';

export const PAPER_SIZES: readonly PaperSize[] = ['250M', '3B', '11B'];
