const UNITS: ReadonlyMap<string, number> = new Map(
  Object.entries({
    '': 1,
    b: 1,
    kb: 1e3,
    mb: 1e6,
    gb: 1e9,
    tb: 1e12,
    kib: 2 ** 10,
    mib: 2 ** 20,
    gib: 2 ** 30,
    tib: 2 ** 40,
  }),
);

/** A number of bytes for people: "1.50 GiB". */
export function formatBytes(bytes: number): string {
  const units = ['bytes', 'KiB', 'MiB', 'GiB', 'TiB'];
  const power = bytes < 1024 ? 0 : Math.min(units.length - 1, Math.floor(Math.log2(bytes) / 10));
  if (power === 0) return `${bytes} bytes`;
  const value = bytes / 2 ** (10 * power);
  return `${value.toFixed(value < 10 ? 2 : value < 100 ? 1 : 0)} ${units[power]}`;
}

/** Bytes of "80GiB", "1.5 GB" or "4096"; undefined for what names no positive number of bytes. */
export function parseBytes(text: string): number | undefined {
  const [, number, unit = ''] = /^\s*(\d+(?:\.\d+)?)\s*([a-z]*)\s*$/i.exec(text) ?? [];
  const factor = UNITS.get(unit.toLowerCase());
  if (number === undefined || factor === undefined) return undefined;
  const bytes = Math.round(Number(number) * factor);
  return bytes > 0 && Number.isSafeInteger(bytes) ? bytes : undefined;
}
