import { createHash } from 'node:crypto';

/**
 * SHA-256 over a list of parts. Each part is preceded by its length, because lists such as ["ab", "c"] and ["a", "bc"]
 * have to differ.
 *
 * @returns the 32-byte digest
 */
export function sha256(...parts: (string | Uint8Array)[]): Buffer {
  const hash = createHash('sha256');
  for (const part of parts) {
    const bytes = typeof part === 'string' ? Buffer.from(part, 'utf8') : part;
    hash.update(`${bytes.byteLength}:`);
    hash.update(bytes);
  }
  return hash.digest();
}

/** {@link sha256} as 64 lower-case hexadecimal digits. */
export function sha256Hex(...parts: (string | Uint8Array)[]): string {
  return sha256(...parts).toString('hex');
}

/** 32-bit FNV-1a of the UTF-16 code units of `text`: a cheap key for random streams, not a fingerprint. */
export function fnv1a32(text: string): number {
  let hash = 0x811c9dc5;
  for (let i = 0; i < text.length; i++) hash = Math.imul(hash ^ text.charCodeAt(i), 0x01000193);
  return hash >>> 0;
}
