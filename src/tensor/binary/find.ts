import { existsSync, readFileSync } from 'node:fs';
import { createRequire } from 'node:module';
import { dirname, join } from 'node:path';
import { HintError } from '../../util/errors.js';
import { packageRoot } from '../../util/package-root.js';
import { binaryPackage, isClone, thisHost, whyUnsupported, type Host } from './host.js';

/** The native engine's file. */
export interface NativeBinary {
  path: string;
  /** `here`: built on this machine, or named by HINT_NATIVE; `package`: built elsewhere and installed by npm. */
  origin: 'here' | 'package';
}

/** Where `npm run build` and `hint build` put the native engine. */
export function builtBinary(root = packageRoot()): string {
  return join(root, 'build', 'Release', 'hint.node');
}

/**
 * The file to load: the one that HINT_NATIVE names, else the one that was built here, else that of the platform's package.
 *
 * @param root the folder of this package
 * @param hostOf asked only when there is no file, as the answer takes longer than all else here
 * @throws HintError NATIVE_MISSING with what to do where there is none, or one of another version
 */
export function findBinary(root = packageRoot(), hostOf: () => Host = thisHost): NativeBinary {
  const named = process.env['HINT_NATIVE'];
  if (named !== undefined) {
    if (existsSync(named)) return { path: named, origin: 'here' };
    throw missing(`HINT_NATIVE names ${named}, which is missing; name a hint.node, or unset HINT_NATIVE.`);
  }
  const built = builtBinary(root);
  if (existsSync(built)) return { path: built, origin: 'here' };
  if (isClone(root))
    throw missing(`The native engine is not built (${built} is missing); run "npm run build".`);
  const name = binaryPackage(process);
  const folder = packageFolder(name, root);
  if (folder !== undefined) {
    const path = join(folder, 'hint.node');
    if (existsSync(path)) return { path, origin: 'package' };
    throw missing(`${path} is missing; install ${name} again.`);
  }
  throw missing(
    whyUnsupported(hostOf()) ??
      `The package ${name} with the native engine is not installed. npm leaves it out with --omit=optional, and where the ` +
        'lock file was written on another platform: run "npm install --include=optional", or build it here with "npx hint build".',
  );
}

/** Folder of the installed package with the CUDA library for this platform; undefined when there is none, or one of another version. */
export function cudaPackageFolder(root = packageRoot()): string | undefined {
  try {
    return packageFolder(`${binaryPackage(process)}-cuda`, root);
  } catch (error) {
    if (error instanceof HintError) return undefined;
    throw error;
  }
}

/** @throws HintError NATIVE_MISSING when it is of another version than this package */
function packageFolder(name: string, root: string): string | undefined {
  let manifest: string;
  try {
    manifest = createRequire(join(root, 'package.json')).resolve(`${name}/package.json`);
  } catch {
    return undefined;
  }
  const [own, found] = [versionIn(join(root, 'package.json')), versionIn(manifest)];
  if (own === found) return dirname(manifest);
  throw missing(
    `${name} is of version ${found} and hint-engine of ${own}; install hint-engine again, which brings both.`,
  );
}

function versionIn(manifest: string): string {
  return String((JSON.parse(readFileSync(manifest, 'utf8')) as { version?: unknown }).version);
}

function missing(sentence: string): HintError {
  return new HintError('NATIVE_MISSING', sentence);
}
