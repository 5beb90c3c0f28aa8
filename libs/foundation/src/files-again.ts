import { guarded } from './guarded.js';
import type { Logger } from './logger.js';
import { WeakRegistry } from './weak-registry.js';

/** Keeps what stands elsewhere (a file, the keys of an issuer), and can read it again. */
export interface Rereadable {
  /** Never throws. What cannot be used is logged and not taken. */
  readAgain(): void;
}

/** Weak: who keeps a file only while it is needed has no end that could be told. */
const known = new WeakRegistry<Rereadable>();

/** From now on `readFilesAgain` reaches it. @returns a function after which it does not */
export function rereadOnRequest(rereadable: Rereadable): () => void {
  return known.add(rereadable);
}

/**
 * Reads every file with certificates, keys, tokens and secrets of this process again, now, also those that have not
 * changed. They are read without it, too, some seconds after a change; this is for who does not want to wait, or has a
 * file system that does not tell.
 */
export function readFilesAgain(): void {
  for (const rereadable of known) rereadable.readAgain();
}

/**
 * From now on SIGHUP does not end this process, but reads its files again (see `readFilesAgain`). For the main module of
 * a service: a library must not decide what a signal does.
 */
export function readFilesAgainOnHangUp(logger: Logger): void {
  const failed = (error: unknown): void => logger.error('SIGHUP: the files could not be read again', error);
  process.on(
    'SIGHUP',
    guarded(() => {
      readFilesAgain();
      logger.info('SIGHUP: files with certificates, keys and tokens are read again');
    }, failed),
  );
}
