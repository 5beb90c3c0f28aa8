import type { InjectedBug } from './injected-bug.js';

const EXECUTOR = 'libs/participant/src/runtime/branch-executor.ts';
const RESULTS = 'libs/participant/src/runtime/branch-results.ts';
const ERROR = 'libs/commit-protocol/src/vocabulary/branch-error.ts';
const RESOURCE_MANAGER = 'test/support/modelled-database/modelled-resource-manager.ts';

const RULE = 'section What a participant says always fits';

/** Mistakes with what handlers return and throw, and with those that do neither. */
export const FOREIGN_CODE_BUGS: readonly InjectedBug[] = [
  {
    name: 'results judged after the commit',
    what: 'What the handlers returned is looked at when the branch has been prepared or committed.',
    rule: `${RULE}: before the branch prepares or commits`,
    by: {
      edits: [
        {
          file: EXECUTOR,
          find: 'results.add(call.operation, await this.handle(call, context, branch, message));',
          replace: '(results.taken as unknown[]).push(await this.handle(call, context, branch, message));',
        },
        {
          file: EXECUTOR,
          find: "if (held) await held;\n    return { type: 'voted', branch, result };",
          replace:
            "if (held) await held;\n    BranchResults.of('work', result.results);\n    return { type: 'voted', branch, result };",
        },
        {
          file: EXECUTOR,
          find: "await this.hit('participant.commit.after-commit');\n    return { type: 'concluded', branch, result };",
          replace:
            "await this.hit('participant.commit.after-commit');\n    BranchResults.of('work', result.results);\n    return { type: 'concluded', branch, result };",
        },
      ],
    },
  },
  {
    name: 'results of any size',
    what: 'More than fits into a message is prepared and committed.',
    rule: `${RULE}: more than 64 KiB of one branch are \`RESULT_TOO_LARGE\``,
    by: {
      edits: [
        { file: RESULTS, find: 'if (this.remainingBytes < 0) this.refuseSize();', replace: '' },
        { file: RESULTS, find: 'sizeBytes: Math.max(0, this.remainingBytes)', replace: 'sizeBytes: Infinity' },
      ],
    },
  },
  {
    name: 'results as they were returned',
    what: 'What has no JSON goes on as it is.',
    rule: `${RULE}: what has no JSON that says all of it is \`RESULT_NOT_JSON\``,
    by: {
      edits: [
        {
          file: RESULTS,
          find: 'this.results.push(JSON.parse(text) as JsonValue);',
          replace: 'this.results.push(value as JsonValue);',
        },
        {
          file: RESULTS,
          find: 'if (!(error instanceof NotJsonError)) throw error;',
          replace: "if (error instanceof NotJsonError) return 'null';",
        },
      ],
    },
  },
  {
    name: 'a text that is not cut',
    what: 'A refusal is told as long as the handler made it.',
    rule: `${RULE}: the text is cut after 2,048`,
    by: {
      edits: [
        {
          file: ERROR,
          find: 'return { code, message: fitText(sentence, LIMITS.errorMessageLength) };',
          replace: 'return { code, message: sentence };',
        },
      ],
    },
  },
  {
    name: 'a code of any kind',
    what: 'A refusal is told with the code that the handler gave it, whatever it is.',
    rule: `${RULE}: a code is 1 to 64 visible ASCII characters`,
    by: { edits: [{ file: ERROR, find: 'CODE.test(code)', replace: 'CODE.source' }] },
  },
  {
    name: 'handlers without a time limit',
    what: 'A branch waits for its handlers for as long as they take.',
    rule: 'AC5: nothing that is not ours is waited for without a limit',
    by: {
      edits: [
        {
          file: RESOURCE_MANAGER,
          find: 'const limitMs = Math.max(1, timeLeftMs(branch, this.process)) + HANDLER_GRACE_MS;',
          replace: 'const limitMs = Math.max(1, timeLeftMs(branch, this.process)) * 1_000_000_000;',
        },
      ],
    },
  },
];
