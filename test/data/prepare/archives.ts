import { gzipSync } from 'node:zlib';
import { Header } from 'tar/header';

/** An entry of an archive as it stands in its head. */
export interface ArchiveEntry {
  readonly path: string;
  readonly content?: string | Uint8Array;
  readonly type?: 'File' | 'SymbolicLink' | 'Link' | 'Directory';
  readonly linkpath?: string;
}

/** A tar archive, compressed with gzip; unlike a program that makes archives, it writes any path. */
export function archive(...entries: readonly ArchiveEntry[]): Buffer {
  return gzipSync(plainArchive(...entries));
}

export function plainArchive(...entries: readonly ArchiveEntry[]): Buffer {
  const blocks = entries.flatMap(({ path, content = '', type = 'File', linkpath }) => {
    const bytes = Buffer.from(content);
    const head = new Header({
      path,
      size: bytes.length,
      type,
      mode: 0o644,
      mtime: new Date(1_600_000_000_000),
      ...(linkpath === undefined ? {} : { linkpath }),
    });
    head.encode();
    return [head.block as Buffer, bytes, Buffer.alloc((512 - (bytes.length % 512)) % 512)];
  });
  return Buffer.concat([...blocks, Buffer.alloc(1024)]);
}
