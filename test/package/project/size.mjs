// node_modules takes at most so many MiB.
import { lstatSync, readdirSync } from 'node:fs';
import { join } from 'node:path';

const files = readdirSync('node_modules', { recursive: true }).map((name) =>
  lstatSync(join('node_modules', name)),
);
const mebibytes =
  files.reduce((sum, file) => sum + (file.isFile() ? Math.ceil(file.size / 4096) * 4096 : 0), 0) / 2 ** 20;
console.log(`${mebibytes.toFixed(1)} MiB`);
if (mebibytes > Number(process.argv[2])) process.exit(1);
