export * from './prisma-database.js';
