/** Every parser of foreign files, by name. */
export const PARSERS: Readonly<Record<string, { file: string }>>;
 packed?: number; levels?: readonly number[] },
): Uint8Array;
