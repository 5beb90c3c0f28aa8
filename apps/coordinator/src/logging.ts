/** Token of the process's `Logger`. */
export const LOGGER = Symbol('LOGGER');
