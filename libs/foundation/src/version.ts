/** The version of the packages of Concordat, which is the same for all of them. `npm run version` writes it. */
export const VERSION = '0.1.0';
