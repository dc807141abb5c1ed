export type { Agreement, Disagreement } from './agreement.js';
export { findPublished, PUBLISHED_MODELS, type PrintedFigure, type PublishedModel } from './models.js';
export { reportOf, type ComparedFigure, type PartScore, type PublishedReport } from './report.js';
export { checkPublishedReport, writePublishedReport } from './report-files.js';
export {
  runPublished,
  type PublishedEvent,
  type PublishedResult,
  type PublishedSettings,
  type RunPublishedOptions,
} from './run.js';
