import { parseArgs } from 'node:util';

/** What the user asked for. */
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

Looks at the directory in which a node keeps its Raft log. Never writes to it, takes no lock, and works beside a
running node.

inspect   prints every segment of the log, its frames with hard states and entries, the snapshots, and what there
          is of a snapshot that is being received
verify    checks everything; one line per file, then a summary

Options:
  --from <index>  inspect: show entries from this index on
  --to <index>    inspect: show entries up to this index
  --data          inspect: print the entries' data, as text where it is text, else in hexadecimal
  --json          print one JSON object per line: one for the directory, one per file, verify's summary
  --help          print this

Exit status: 0 all is sound, 1 something is damaged, 2 the command or the directory is wrong.
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
    return wrong(action === undefined ? 'say inspect or verify' : `there is no command "${action}"`);
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
