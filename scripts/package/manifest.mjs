// What the package.json of each published package says, derived from that of the repository.

const SCOPE = '@hint-engine';
/** Of every package. */
const EVERY = ['version', 'license', 'author', 'homepage', 'repository', 'bugs', 'engines'];
const ABOUT = ['name', 'description', 'keywords', ...EVERY];
const RUN = ['type', 'bin', 'main', 'types', 'exports', 'dependencies'];

function picked(own, keys) {
  return Object.fromEntries(keys.map((key) => [key, own[key]]));
}

/** The main package: what a dependent needs, and a package a platform of which npm installs the one that fits. */
export function mainManifest(own, targets) {
  const { version } = own;
  const cuda = `${SCOPE}/linux-x64-cuda`;
  return {
    ...picked(own, [...ABOUT, ...RUN]),
    optionalDependencies: Object.fromEntries(targets.map((target) => [`${SCOPE}/${target}`, version])),
    // Of npm's kinds of dependency the one that is not installed unasked: the library is for machines with a GPU alone.
    peerDependencies: { ...own.peerDependencies, [cuda]: version },
    peerDependenciesMeta: { ...own.peerDependenciesMeta, [cuda]: { optional: true } },
  };
}

/** A platform's package. npm leaves it out where `os`, `cpu` or `libc` differ. */
export function platformManifest(own, { name, arch }, { cuda = false } = {}) {
  return {
    name: `${SCOPE}/${name}${cuda ? '-cuda' : ''}`,
    description: `${cuda ? 'The CUDA library' : 'The native engine'} of hint-engine for Linux on ${arch}; install hint-engine instead.`,
    ...picked(own, EVERY),
    os: ['linux'],
    cpu: [arch],
    libc: ['glibc'],
    // Package managers that keep packages zipped have to lay this one out as files.
    preferUnplugged: true,
  };
}
