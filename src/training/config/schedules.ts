/** How the learning rate changes behind its warm-up. */
export const SCHEDULES = ['constant', 'linear', 'cosine', 'inverse-sqrt'] as const;

export type ScheduleKind = (typeof SCHEDULES)[number];
