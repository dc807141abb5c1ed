/**
 * Characters that change how a terminal, a log or a report shows text: controls (C0, DEL, C1), line and paragraph
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

/** A character as a JSON escape, so that JSON text with the escape means the same. */
function escape(character: string): string {
  return NAMED.get(character) ?? `\\u${character.charCodeAt(0).toString(16).padStart(4, '0')}`;
}

/**
 * Text of unknown origin, safe to show within a line. Characters that would move the cursor, end the line, change
 * colours or the direction of the text become JSON escapes (`\u001b`, `\n`).
 */
export function shown(text: string): string {
  return text.replace(UNSHOWABLE, escape);
}

/** {@link shown} for texts of several lines: line feeds and tabs stay. JSON text stays the same JSON. */
export function shownText(text: string): string {
  return text.replace(UNSHOWABLE_IN_TEXT, escape);
}

/**
 * Text of at most about `most` characters: of a longer one, a note with the number of omitted characters replaces the
 * middle. The end stays, because it is the next step in a message.
 */
export function shortened(text: string, most: number): string {
  if (text.length <= most) return text;
  const end = Math.floor(most / 4);
  const begin = most - end;
  return `${text.slice(0, begin)} … (${text.length - most} characters left out) … ${text.slice(-end)}`;
}

/** {@link shown}, with the markup of Markdown and HTML escaped. */
export function shownMarkdown(text: string): string {
  return shown(text)
    .replace(/[\\`*_[\]|~]/g, (character) => `\\${character}`)
    .replace(/[&<>]/g, (character) => ENTITIES.get(character) ?? character);
}

/** {@link shown}, escaped as text or attribute value of XML, such as SVG, which has no escape for most controls. */
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
