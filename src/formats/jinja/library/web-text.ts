import { itemsOf, iteratorOf, listOf } from '../python/basics.js';
import { wordsOf } from '../python/characters.js';
import { textOfValue } from '../python/show.js';
import { Dict, DictView, isText, PythonError, type Runtime, type Value } from '../python/values.js';

/** Filters of text for the web. */

const ENTITIES: Readonly<Record<string, string>> = { amp: '&', lt: '<', gt: '>', quot: '"', apos: "'", nbsp: '\u00a0' }; // prettier-ignore

/** Without comments and tags, with entities as characters and white space as single spaces. */
export function stripTags(text: string, runtime: Runtime): string {
  const bare = without(without(text, '<!--', '-->', runtime), '<', '>', runtime);
  return wordsOf(bare)
    .join(' ')
    .replace(
      /&(?:#(\d{1,7});|#[xX]([\da-fA-F]{1,6});|(\w+);?)/g,
      (whole, decimal?: string, hex?: string, name?: string) => {
        // prettier-ignore
        if (name !== undefined) {
        if (Object.hasOwn(ENTITIES, name) && whole.endsWith(';')) return ENTITIES[name] as string;
        throw new PythonError('NotSupported', `the entity ${whole} in striptags is not supported`);
      }
        const code = decimal === undefined ? Number.parseInt(hex as string, 16) : Number(decimal);
        if (
          code < 0x20 ||
          (code >= 0x7f && code < 0xa0) ||
          (code >= 0xd800 && code < 0xe000) ||
          code > 0x10ffff
        )
          throw new PythonError('NotSupported', `the entity ${whole} in striptags is not supported`);
        return String.fromCodePoint(code);
      },
    );
}

/** Without what stands between marks; what opens and does not close stays. */
function without(text: string, open: string, close: string, runtime: Runtime): string {
  const kept: string[] = [];
  let at = 0;
  for (;;) {
    const start = text.indexOf(open, at);
    const end = start < 0 ? -1 : text.indexOf(close, start);
    if (end < 0) return [...kept, text.slice(at)].join('');
    runtime.step();
    kept.push(text.slice(at, start));
    at = end + close.length;
  }
}

/** For addresses: a text as it is, pairs as a query. @throws PythonError */
export function urlQuoted(value: Value, runtime: Runtime): string {
  if (isText(value) || !iteratorOf(value)) return percentEncoded(textOfValue(value, runtime), '/', runtime);
  const pairs = value instanceof Dict ? new DictView(value, 'items') : value;
  const all: string[] = [];
  for (const pair of itemsOf(pairs, runtime)) {
    const parts = listOf(pair, runtime);
    if (parts.length !== 2)
      throw new PythonError('ValueError', `expected a pair, got ${parts.length} values`);
    all.push(parts.map((part) => percentEncoded(textOfValue(part, runtime), '', runtime).replaceAll('%20', '+')).join('=')); // prettier-ignore
  }
  return all.join('&');
}

function percentEncoded(text: string, safe: string, runtime: Runtime): string {
  if (/\p{Cs}/u.test(text)) throw new PythonError('UnicodeEncodeError', 'surrogates not allowed');
  runtime.allocate(18 * text.length);
  const encoded = encodeURIComponent(text).replace(/[!'()*]/g, (one) => `%${one.charCodeAt(0).toString(16).toUpperCase()}`); // prettier-ignore
  return safe === '/' ? encoded.replaceAll('%2F', '/') : encoded;
}
