/** Compute threads that a device takes at most: those that the native engine does. */
export const MOST_THREADS = 256;
