import { errorMessage } from '@concordat/foundation';

/**
 * What a check has found, in one sentence about the present state. A warning and a failure also have a `fix`: what
 * somebody must do. Neither has a full stop, and none contains a password.
 *
 * `warning`: it works now, and may stop under load or after a change. `failure`: it does not work. With a `code`, the
 * start of a participant ends with that error; without one, it continues.
 */
export type Finding<Code extends string = string> =
  | { readonly status: 'ok'; readonly sentence: string }
  | { readonly status: 'warning'; readonly sentence: string; readonly fix: string }
  | { readonly status: 'failure'; readonly sentence: string; readonly fix: string; readonly code?: Code };

/** One condition that must hold. Pure: what it judges was read before, and is all in `Context`. */
export interface Check<Context, Code extends string = string> {
  /** stable, lower case with hyphens: a word for scripts */
  readonly name: string;
  /** undefined: it does not apply */
  readonly run: (context: Context) => Finding<Code> | undefined;
}

export type CheckReport<Code extends string = string> = { readonly name: string } & Finding<Code>;

/** A check that throws is itself a failure: the others still run. */
export function runChecks<Context, Code extends string>(
  checks: readonly Check<Context, Code>[],
  context: Context,
): readonly CheckReport<Code>[] {
  return checks.flatMap(({ name, run }) => {
    const finding = attempt(() => run(context));
    return finding === undefined ? [] : [{ name, ...finding }];
  });
}

function attempt<Code extends string>(run: () => Finding<Code> | undefined): Finding<Code> | undefined {
  try {
    return run();
  } catch (error) {
    return failure(`the check itself failed (${errorMessage(error)})`, 'report this as a fault of Concordat');
  }
}

export const ok = (sentence: string): Finding<never> => ({ status: 'ok', sentence });

export const warning = (sentence: string, fix: string): Finding<never> => ({ status: 'warning', sentence, fix });

export function failure(sentence: string, fix: string): Finding<never>;
export function failure<Code extends string>(sentence: string, fix: string, code: Code): Finding<Code>;
export function failure<Code extends string>(sentence: string, fix: string, code?: Code): Finding<Code> {
  return { status: 'failure', sentence, fix, ...(code !== undefined && { code }) };
}

/** For a log line or the message of an error. */
export function describeFinding(finding: Finding): string {
  return finding.status === 'ok' ? finding.sentence : `${finding.sentence}: ${finding.fix}`;
}
