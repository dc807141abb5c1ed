// The texts beside the binaries of a platform's package.
import { readFileSync } from 'node:fs';
import { join } from 'node:path';

export function platformReadme({ name, description }) {
  return `# ${name}\n\n${description.replace(/; install.*/, '.')}\n\nThis package is installed by npm along with hint-engine and is of no use without it.\n`;
}

/**
 * Whose code is in the binaries, and under which licence.
 *
 * @param source folder of oneDNN's source; undefined where it is not contained
 */
export function platformLicences(source) {
  const parts = [
    'libgomp.so.1 and the C++ library that is linked in are those of the GNU Compiler Collection, under the GNU General Public License,\n' +
      'version 3, with the GCC Runtime Library Exception, version 3.1. They are those of Debian 12, unchanged; their source is that of\n' +
      "Debian's package gcc-12.",
  ];
  if (source !== undefined)
    for (const name of ['LICENSE', 'THIRD-PARTY-PROGRAMS'])
      parts.push(`oneDNN, ${name}\n\n${readFileSync(join(source, name), 'utf8')}`);
  return `${parts.join(`\n\n${'-'.repeat(80)}\n\n`)}\n`;
}
