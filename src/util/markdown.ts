import { shownMarkdown } from './shown.js';

/** A cell of {@link markdownTable}: a text, which is escaped, or Markdown, which is written as it is. */
export type MarkdownCell = string | number | { readonly markdown: string };

/** A Markdown table, line by line. Text in cells is escaped, because it may come from any file. */
export function markdownTable(
  header: readonly string[],
  rows: readonly (readonly MarkdownCell[])[],
): string[] {
  const text = (cell: MarkdownCell): string =>
    typeof cell === 'object' ? cell.markdown : shownMarkdown(String(cell));
  const line = (cells: readonly MarkdownCell[]): string => `| ${cells.map(text).join(' | ')} |`;
  return [line(header), line(header.map(() => '---')), ...rows.map(line)];
}
