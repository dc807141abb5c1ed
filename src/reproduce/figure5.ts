import type { Grid } from './grid.js';
import { table10, T0_AGAIN } from './table10.js';

/** Figure 5: the accuracy of T0 trained again with each prompt. Its cells are those of Table 10. */
export const figure5: Grid = {
  ...table10,
  name: 'figure5',
  title: 'Figure 5: accuracy by prompt of T0 trained again',
  view: 'prompts',
  cells: [T0_AGAIN],
  claims: [],
};
