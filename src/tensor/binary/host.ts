import { existsSync } from 'node:fs';
import { join } from 'node:path';
import { packageRoot } from '../../util/package-root.js';

/** What decides whether a published binary runs on a machine. */
export interface Host {
  /** As `process.platform` says it. */
  platform: string;
  /** As `process.arch` says it. */
  arch: string;
  /** Version of the C library, such as `2.36`; undefined where it is another one than glibc. */
  glibc: string | undefined;
}

/** The oldest glibc that published binaries run with, as [major, minor]: that of RHEL 9; Ubuntu 22.04 has 2.35, Debian 12 has 2.36. */
export const OLDEST_GLIBC = [2, 34] as const;

/** Architectures of Linux for which a binary is published. */
const PUBLISHED = ['x64', 'arm64'];

/** The machine that this process runs on. It takes milliseconds, so nothing asks before something is amiss. */
export function thisHost(): Host {
  const report = process.report as typeof process.report & { excludeNetwork?: boolean };
  // Otherwise the report looks up the names of all addresses that the process talks to.
  report.excludeNetwork = true;
  const { header } = report.getReport() as { header: { glibcVersionRuntime?: string } };
  return { platform: process.platform, arch: process.arch, glibc: header.glibcVersionRuntime };
}

/** Name of the npm package with the binary for a host. */
export function binaryPackage({ platform, arch }: Pick<Host, 'platform' | 'arch'>): string {
  return `@hint-engine/${platform}-${arch}`;
}

/** Whether this package is a clone of the repository, where `npm run build` builds; an installed package has no sources of TypeScript. */
export function isClone(root = packageRoot()): boolean {
  return existsSync(join(root, 'src', 'index.ts'));
}

/** Why no published binary runs on a host, with what to do; undefined when one does. */
export function whyUnsupported({ platform, arch, glibc }: Host): string | undefined {
  const elsewhere =
    'run it on Linux (x64 or arm64) with glibc, for instance in a container of the image node:22-slim';
  if (platform === 'darwin') return `hint-engine does not run on macOS (${arch}); ${elsewhere}.`;
  if (platform === 'win32')
    return `hint-engine does not run on Windows (${arch}); ${elsewhere}, or under WSL 2.`;
  if (platform !== 'linux') return `hint-engine does not run on ${platform} (${arch}); ${elsewhere}.`;
  if (glibc === undefined)
    return `This Linux has another C library than glibc (Alpine has musl), and hint-engine needs glibc; ${elsewhere}.`;
  if (!PUBLISHED.includes(arch))
    return `There is no binary for Linux on ${arch}, only for ${PUBLISHED.join(' and ')}; build it here with "npx hint build".`;
  const [major = 0, minor = 0] = glibc.split('.').map(Number);
  if (major < OLDEST_GLIBC[0] || (major === OLDEST_GLIBC[0] && minor < OLDEST_GLIBC[1]))
    return (
      `This Linux has glibc ${glibc}, and the binary of hint-engine needs ${OLDEST_GLIBC.join('.')} or later (Debian 12, ` +
      `Ubuntu 22.04, RHEL 9); use a newer system, or build it here with "npx hint build".`
    );
  return undefined;
}
