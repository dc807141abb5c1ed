import { shownMarkdown } from './shown.js';

/** A cell of {@link markdownTable}: text that stands for itself, or Markdown of our own. */
export type MarkdownCell = string | number | { readonly markdown: string };

/** A Markdown table, line by line. Text of cells stands for itself, whatever file it comes from. */
export function markdownTable(
  header: readonly string[],
  rows: readonly (readonly MarkdownCell[])[],
): string[] {
  const text = (cell: MarkdownCell): string =>
    typeof cell === 'object' ? cell.markdown : shownMarkdown(String(cell));
  const line = (cells: readonly MarkdownCell[]): string => `| ${cells.map(text).join(' | ')} |`;
  return [line(header), line(header.map(() => '---')), ...rows.map(line)];
}
