// The texts beside the binaries of a platform's package.

export function platformReadme({ name, description }) {
  return `# ${name}\n\n${description.replace(/; install.*/, '.')}\n\nThis package is installed by npm along with hint-engine and is of no use without it.\n`;
}

/** Whose code is in the binaries, and under which licence. */
export const PLATFORM_LICENCES =
  'libgomp.so.1 and the C++ library that is linked in are those of the GNU Compiler Collection, under the GNU General Public License,\n' +
  'version 3, with the GCC Runtime Library Exception, version 3.1. They are those of Debian 12, unchanged; their source is that of\n' +
  "Debian's package gcc-12.\n";
