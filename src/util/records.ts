import { StringDecoder } from 'node:string_decoder';

/**
 * The records of a text, a line each. A line feed ends a record, with or without a carriage return in front of it, and
 * nothing else does: U+2028, U+2029, U+0085, a vertical tab and a lone carriage return are characters of a record, unlike
 * for `readline` and Python's `splitlines`.
 */
export function recordsOf(text: string): string[] {
  const records = text.split('\n');
  if (records.at(-1) === '') records.pop();
  return records.map(withoutReturn);
}

/** Removes the carriage return before the removed line feed of a record. */
export function withoutReturn(record: string): string {
  return record.endsWith('\r') ? record.slice(0, -1) : record;
}

/** The records of a stream in UTF-8, each as soon as it is complete, for messages between processes. */
export async function* streamRecords(stream: AsyncIterable<Buffer>): AsyncGenerator<string, void, undefined> {
  const decoder = new StringDecoder('utf8');
  let rest = '';
  for await (const chunk of stream) {
    const lines = (rest + decoder.write(chunk)).split('\n');
    rest = lines.pop()!;
    for (const line of lines) yield withoutReturn(line);
  }
  rest += decoder.end();
  if (rest !== '') yield withoutReturn(rest);
}

/**
 * A value as a line of a JSON-lines file. Characters that other programs read as the end of a line are escaped, which
 * does not change the JSON.
 */
export function jsonRecord(value: unknown): string {
  const json = JSON.stringify(value).replace(/[\u0085\u2028\u2029]/g, (end) =>
    end === '\u0085' ? '\\u0085' : end === '\u2028' ? '\\u2028' : '\\u2029',
  );
  return `${json}\n`;
}

/** Whether a record has only spaces and the controls from tab to carriage return. */
export function isBlankRecord(record: string): boolean {
  return /^[\t-\r ]*$/.test(record);
}
