export * from './kysely-database.js';
