/**
 * What a backward pass runs again instead of finding it kept. `none`: nothing; `modules`: generated modules are made
 * where a layer reads them, and again in the backward pass; `layers`: layers run again from their inputs; `both`.
 */
export const BACKWARD_PLANS = ['none', 'modules', 'layers', 'both'] as const;
export type BackwardPlan = (typeof BACKWARD_PLANS)[number];

/** The plan of what is named. */
export function backwardPlan(again: { readonly layers: boolean; readonly modules: boolean }): BackwardPlan {
  if (again.layers) return again.modules ? 'both' : 'layers';
  return again.modules ? 'modules' : 'none';
}

/** Whether layers run again from their inputs; without a plan everything is kept. */
export function runsLayersAgain(plan: BackwardPlan | undefined): boolean {
  return plan === 'layers' || plan === 'both';
}

/** Whether modules are made again where a layer reads them; without a plan everything is kept. */
export function makesModulesAgain(plan: BackwardPlan | undefined): boolean {
  return plan === 'modules' || plan === 'both';
}
