import type { ClaimOutcome } from './claims.js';
import type { Grid, GridView, PrintedRow } from './grid.js';
import type { Provenance } from './provenance.js';
import type { Scope } from './scope.js';
import type { PromptFigure, TableFigure } from './summary.js';

/** What of a grid's results is written, for programs. */
export interface GridReport {
  readonly table: string;
  readonly title: string;
  readonly metric: Grid['metric'];
  readonly view: GridView;
  readonly complete: boolean;
  /** What it is of, and where it comes from. */
  readonly scope: Scope;
  readonly made: Provenance;
  readonly settings: object;
  readonly figures: readonly TableFigure[];
  /** Of data sets with prompts. */
  readonly prompts?: readonly PromptFigure[];
  /** What the paper prints of models that are not trained here. */
  readonly printed?: readonly PrintedRow[];
  readonly claims: readonly ClaimOutcome[];
  readonly cells: readonly object[];
  /** Rows without a starting model of their family. */
  readonly rowsWithout: readonly string[];
}
