/** How the learning rate changes behind its warm-up. */
export type ScheduleKind = 'constant' | 'linear' | 'cosine' | 'inverse-sqrt';

export const SCHEDULES = [
  'constant',
  'linear',
  'cosine',
  'inverse-sqrt',
] as const satisfies readonly ScheduleKind[];
