import { readFileSync, statSync, type Stats } from 'node:fs';
import { errorMessage } from './coded-error.js';

/**
 * Who may touch a file: `secret`: only its owner may read it; `trusted`: only its owner may write it; `public`:
 * everybody.
 */
export type FileKind = 'secret' | 'trusted' | 'public';

export type FileText =
  | { readonly ok: true; readonly text: string }
  /** `expected` ends the sentence "it must be …" */
  | { readonly ok: false; readonly expected: string };

const MAXIMUM_BYTES = 4 * 1024 * 1024;
const TOO_LARGE = `a file of at most ${MAXIMUM_BYTES / 1024 / 1024} MiB`;
/** Access of the group, which container platforms give to mounted secrets, is let through for files of root. */
const ROOT = 0;
const OWNER = 0o700;
const GROUP_READS = 0o040;
const ALL_READ = 0o044;

/** Reads a file, unless others could have read or changed it. */
export function readPrivateFile(path: string, kind: FileKind): FileText {
  try {
    const stats = statSync(path);
    const fault = stats.size > MAXIMUM_BYTES ? TOO_LARGE : faultOfMode(stats, kind);
    if (fault !== undefined) return { ok: false, expected: fault };
    return { ok: true, text: readFileSync(path, 'utf8') };
  } catch (error) {
    return { ok: false, expected: `the path of a readable file (${errorMessage(error)})` };
  }
}

/** Why a file is not as private as its kind asks for, as the end of "it must be …"; undefined when it is. */
export function faultOfMode(stats: Stats, kind: FileKind): string | undefined {
  if (!stats.isFile()) return 'the path of a file, and this is none';
  if (process.platform === 'win32' || kind === 'public') return undefined; // its modes say nothing
  const mode = stats.mode & 0o777;
  const allowed = kind === 'trusted' ? OWNER | ALL_READ : OWNER | (stats.uid === ROOT ? GROUP_READS : 0);
  if ((mode & ~allowed) === 0) return undefined;
  const [who, right] = kind === 'trusted' ? ['write', '0644'] : ['read', '0600'];
  const octal = mode.toString(8).padStart(4, '0');
  return `a file that nobody but its owner may ${who}: its mode is ${octal}, and ${right} would be right (chmod ${right})`;
}
