// Formats the C++ and CUDA sources by .clang-format.
//   node scripts/clang-format.mjs --check    fails and lists the files that differ
//   node scripts/clang-format.mjs --write    rewrites them
import { spawnSync } from 'node:child_process';
import { existsSync, readdirSync } from 'node:fs';
import { dirname, extname, join } from 'node:path';
import { fileURLToPath } from 'node:url';

const root = join(dirname(fileURLToPath(import.meta.url)), '..');
const extensions = new Set(['.h', '.cc', '.cu', '.cuh']);

const mode = process.argv[2] ?? '--check';
if (process.argv.length > 3 || !['--check', '--write'].includes(mode)) {
  console.error('Usage: node scripts/clang-format.mjs [--check | --write]');
  process.exit(2);
}

const version = spawnSync('clang-format', ['--version'], { encoding: 'utf8' });
if (version.error || version.status !== 0) {
  console.error(
    'clang-format was not found on PATH. Install it (Debian and Ubuntu: apt-get install clang-format; ' +
      'macOS: brew install clang-format) and run this again.',
  );
  process.exit(2);
}

const files = ['native', 'bindings']
  .filter((folder) => existsSync(join(root, folder)))
  .flatMap((folder) =>
    readdirSync(join(root, folder), { recursive: true, encoding: 'utf8' }).map((name) => join(folder, name)),
  )
  .filter((name) => extensions.has(extname(name)))
  .sort();

if (mode === '--write') {
  const result = spawnSync('clang-format', ['-i', ...files], { cwd: root, stdio: 'inherit' });
  process.exit(result.status ?? 1);
}

// One run per file, because clang-format's --dry-run lists every replacement and not the names of files.
const different = files.filter((file) => {
  const result = spawnSync('clang-format', ['--dry-run', '--Werror', file], { cwd: root });
  return result.status !== 0;
});
for (const file of different) console.error(`${file} is not formatted`);
if (different.length > 0) {
  console.error('Run `node scripts/clang-format.mjs --write`.');
  process.exit(1);
}
console.log(`${files.length} files are formatted`);
