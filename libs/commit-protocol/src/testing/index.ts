/** For tests and simulations of what is built on the protocol. */
export * from './plain-ended-transactions.js';
