import { parseArgs } from 'node:util';

export type WalCommand =
  | { readonly kind: 'help' }
  | { readonly kind: 'inspect'; readonly directory: string; readonly json: boolean; readonly show: ShownEntries }
  | { readonly kind: 'verify'; readonly directory: string; readonly json: boolean }
  | { readonly kind: 'wrong'; readonly reason: string };

export interface ShownEntries {
  /** entries of these indexes, both inclusive */
  readonly from: number;
  readonly to: number;
  readonly data: boolean;
}

export const helpText = `Usage: concordat-wal inspect [options] <directory>
       concordat-wal verify [--json] <directory>

Reads the directory in which a node keeps its Raft log. The tool never writes and takes no lock, so the node may be
running.

inspect   prints every segment of the log with its frames, hard states and entries, the snapshots, and the received
          part of an unfinished snapshot
verify    checks everything; prints one line per file, then a summary

Options:
  --from <index>  inspect: show entries from this index on
  --to <index>    inspect: show entries up to this index
  --data          inspect: print the entries' data, as text where it is text, else in hexadecimal
  --json          print one JSON object per line: one for the directory, one per file, verify's summary
  --help          print this text

Exit status: 0 everything is sound, 1 something is damaged, 2 the command or the directory is wrong.
`;

const options = {
  from: { type: 'string' },
  to: { type: 'string' },
  data: { type: 'boolean', default: false },
  json: { type: 'boolean', default: false },
  help: { type: 'boolean', short: 'h', default: false },
} as const;

export function parseWalCommand(args: readonly string[]): WalCommand {
  let parsed;
  try {
    parsed = parseArgs({ args: [...args], options, allowPositionals: true });
  } catch (error) {
    return wrong(error instanceof Error ? error.message : String(error));
  }
  const { values, positionals } = parsed;
  if (values.help) return { kind: 'help' };
  const [action, directory, ...rest] = positionals;
  if (action !== 'inspect' && action !== 'verify')
    return wrong(
      action === undefined ? 'the command is missing: inspect or verify' : `there is no command "${action}"`,
    );
  if (directory === undefined) return wrong('the directory is missing');
  if (rest.length > 0) return wrong('there is more than one directory');
  const { from, to, data, json } = values;
  if (action === 'verify') {
    if (from !== undefined || to !== undefined || data) return wrong('--from, --to and --data are for inspect only');
    return { kind: 'verify', directory, json };
  }
  const show = { from: parseIndex(from, 0), to: parseIndex(to, Number.MAX_SAFE_INTEGER), data };
  if (Number.isNaN(show.from) || Number.isNaN(show.to)) return wrong('--from and --to are followed by an index');
  return { kind: 'inspect', directory, json, show };
}

function parseIndex(text: string | undefined, fallback: number): number {
  if (text === undefined) return fallback;
  return /^\d{1,15}$/.test(text) ? Number(text) : Number.NaN;
}

function wrong(reason: string): WalCommand {
  return { kind: 'wrong', reason };
}
