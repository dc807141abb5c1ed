import { textOfValue } from './show.js';
import { Markup, type Runtime, type Value } from './values.js';

const ENTITIES: Readonly<Record<string, string>> = { '&': '&amp;', '<': '&lt;', '>': '&gt;', "'": '&#39;', '"': '&#34;' }; // prettier-ignore

/** A value's text for HTML, as `escape` has it: what counts as escaped stays. */
export function escapedText(value: Value, runtime: Runtime): string {
  if (value instanceof Markup) return value.text;
  const text = textOfValue(value, runtime);
  // An entity has up to five characters.
  runtime.allocate(2 * text.length);
  const escaped = text.replace(/[&<>'"]/g, (character) => ENTITIES[character] as string);
  runtime.allocate(2 * (escaped.length - text.length));
  return escaped;
}
