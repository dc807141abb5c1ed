/**
 * What a terminal, a log or a report would act on instead of showing it: controls (C0, DEL, C1), line and paragraph
 * separators, marks that turn the direction of the text around them, and halves of surrogate pairs.
 */
const UNSHOWABLE = /[\p{Cc}\p{Zl}\p{Zp}\p{Cs}\u202a-\u202e\u2066-\u2069]/gu;

/** The same without line feeds and tabs, which texts of several lines keep. */
const UNSHOWABLE_IN_TEXT = /(?![\n\t])[\p{Cc}\p{Zl}\p{Zp}\p{Cs}\u202a-\u202e\u2066-\u2069]/gu;

const NAMED: ReadonlyMap<string, string> = new Map([
  ['\n', '\\n'],
  ['\r', '\\r'],
  ['\t', '\\t'],
]);

/** A character as JSON writes it, so that JSON text with it replaced means the same. */
function escape(character: string): string {
  return NAMED.get(character) ?? `\\u${character.charCodeAt(0).toString(16).padStart(4, '0')}`;
}

/**
 * Text of unknown origin as it can be shown within a line: what would move the cursor, end the line, change colours or
 * turn the direction of the text is written as JSON would (`\u001b`, `\n`).
 */
export function shown(text: string): string {
  return text.replace(UNSHOWABLE, escape);
}

/** {@link shown} for texts of several lines: line feeds and tabs stay. JSON text stays the same JSON. */
export function shownText(text: string): string {
  return text.replace(UNSHOWABLE_IN_TEXT, escape);
}

/**
 * Text of at most about `most` characters: the middle of a longer one is left out, and the gap says how much that is.
 * Beginning and end stay, as the end of a message is what to do next.
 */
export function shortened(text: string, most: number): string {
  if (text.length <= most) return text;
  const end = Math.floor(most / 4);
  const begin = most - end;
  return `${text.slice(0, begin)} … (${text.length - most} characters left out) … ${text.slice(-end)}`;
}

/** {@link shown} as text of Markdown and of the HTML in it: what either would read as markup stands for itself. */
export function shownMarkdown(text: string): string {
  return shown(text)
    .replace(/[\\`*_[\]|~]/g, (character) => `\\${character}`)
    .replace(/[&<>]/g, (character) => ENTITIES.get(character) ?? character);
}

/** {@link shown} as text or attribute value of XML, such as SVG; XML has no way to write most controls. */
export function shownXml(text: string): string {
  return shown(text).replace(/[&<>"']/g, (character) => ENTITIES.get(character) ?? character);
}

const ENTITIES: ReadonlyMap<string, string> = new Map([
  ['&', '&amp;'],
  ['<', '&lt;'],
  ['>', '&gt;'],
  ['"', '&quot;'],
  ["'", '&#39;'],
]);
