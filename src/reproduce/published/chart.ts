import { barChart, type BarValue } from '../../util/plot/charts.js';
import type { PublishedReport } from './report.js';

/** Accuracy by data set beside the printed one; undefined for a model that is scored as a whole. */
export function chartOf({ title, scope, metric, parts, score }: PublishedReport): string | undefined {
  if (metric !== 'accuracy') return undefined;
  const bar = (value: number | undefined): BarValue | undefined =>
    value === undefined ? undefined : { value };
  const ours = parts.map((part) => bar(part.score));
  const printed = parts.map((part) => bar(part.printed));
  const values = parts.flatMap((part) => part.printed ?? []);
  const mean = values.reduce((sum, value) => sum + value, 0) / values.length;
  return barChart({
    title,
    subtitle: `${scope.models}; ${scope.evaluation}`,
    // Room for the names of nine data sets.
    width: 960,
    xLabel: '',
    yLabel: `${metric}, %`,
    groups: [...parts.map(({ name }) => name), 'mean'],
    series: [
      { name: 'here', values: [...ours, bar(score)] },
      // A mean of other data sets would be another.
      {
        name: 'printed',
        values: [...printed, bar(values.length === parts.length ? mean : undefined)],
        dashed: true,
        like: 'here',
      },
    ],
  });
}
