import { PAGE_PATHS } from './page.js';

/** Routes for those who watch over the process, and the page, which asks for a key itself. None of them tells a secret. */
export const OPEN_PATHS: readonly string[] = ['/healthz', '/readyz', ...PAGE_PATHS];
