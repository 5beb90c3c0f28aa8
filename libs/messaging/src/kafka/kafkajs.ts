import { createRequire } from 'node:module';
import type * as Kafkajs from 'kafkajs';

const load = createRequire(import.meta.url);

/** kafkajs, loaded when it is first used: a process whose link is direct streams alone starts without its 145 files. */
export const kafkajs = (): typeof Kafkajs => load('kafkajs') as typeof Kafkajs;

/**
 * A file of kafkajs that it does not show to its users. The names are those of 2.2.4.
 *
 * @param file below its `src`
 */
export const kafkajsFile = (file: string): unknown => load(`kafkajs/src/${file}`);
