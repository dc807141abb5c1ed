/** The character that stands for each byte in GPT-2's vocabulary. */
export const BYTE_CHARACTERS: readonly string[] = alphabet();

const BYTES: ReadonlyMap<string, number> = new Map(
  BYTE_CHARACTERS.map((character, byte) => [character, byte]),
);

// A byte that is printable in Latin-1 stands for itself; the others take the characters from U+0100 on, in order.
function alphabet(): string[] {
  let next = 0x100;
  return Array.from({ length: 256 }, (_, byte) => {
    const isPrintable = (byte >= 0x21 && byte <= 0x7e) || (byte >= 0xa1 && byte <= 0xac) || byte >= 0xae;
    return String.fromCharCode(isPrintable ? byte : next++);
  });
}

/** The characters of the bytes of a text. */
export function bytesAsText(text: string): string {
  const code = text.charCodeAt(0);
  if (text.length === 1 && code < 0x80) return BYTE_CHARACTERS[code]!;
  let result = '';
  for (const byte of Buffer.from(text, 'utf8')) result += BYTE_CHARACTERS[byte]!;
  return result;
}

/** The bytes that characters stand for; undefined where one stands for none. */
export function textAsBytes(text: string): number[] | undefined {
  const bytes: number[] = [];
  for (const character of text) {
    const byte = BYTES.get(character);
    if (byte === undefined) return undefined;
    bytes.push(byte);
  }
  return bytes;
}
