export * from './concordat-health-indicator.js';
