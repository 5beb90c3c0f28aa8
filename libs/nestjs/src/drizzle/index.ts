export * from './drizzle-database.js';
