/** Every parser of foreign files, by name. */
export const PARSERS: Readonly<Record<string, { file: string }>>;
