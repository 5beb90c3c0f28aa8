/**
 * For simulations: a process that can be stopped and killed, a trace, a report, and the program that runs seeds, in
 * processes of their own as well. For the tests of a simulation: the program compiled with changed sources, and the
 * search for the mistakes that were put in.
 */
export * from './compiled-program.js';
export * from './injected-bugs.js';
export * from './markdown-table.js';
export * from './machine-clock.js';
export * from './report.js';
export * from './seed-runner.js';
export * from './simulated-process.js';
export * from './simulation-program.js';
export * from './source-edit.js';
export * from './trace.js';
