/** What a secured local system has beside its data; also for tests and benchmarks. */
export { LocalSecurity } from './local-security.js';
