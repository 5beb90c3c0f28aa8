export * from './from-type-orm.js';
