export * from './check.js';
export * from './coordinator-checks.js';
export * from './coordinator-facts.js';
export * from './database-check.js';
export * from './database-checks.js';
export * from './database-facts.js';
export * from './report-coordinators.js';
export * from './shared-database.js';
