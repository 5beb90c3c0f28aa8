export const SETTINGS = Symbol('SETTINGS');
export const LOGGER = Symbol('LOGGER');
export const FAILPOINTS = Symbol('FAILPOINTS');
