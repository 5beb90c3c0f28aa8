export * from './joining-adapter.js';
