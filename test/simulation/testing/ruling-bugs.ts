import type { InjectedBug } from './injected-bug.js';

const STATE = 'libs/commit-protocol/src/log/decision-state.ts';
const RULINGS = 'libs/commit-protocol/src/log/ruling-judgement.ts';

/** Mistakes with what operators rule. */
export const RULING_BUGS: readonly InjectedBug[] = [
  {
    name: 'a ruling overrides the decision',
    what: 'A forced ruling on a decided transaction changes its decision, without a word.',
    rule: 'AC2; `resolve`: a decision in the log never changes',
    by: {
      edits: [
        {
          file: RULINGS,
          find: "if (!branch) return { refusal: 'BRANCH_NEEDED' };",
          replace: "if (branch || !branch) return { effect: 'decided', branches: [] };",
        },
        {
          file: STATE,
          find: "if (transaction.decision) return refuse('DECIDED', transaction); // the first decision in the log wins",
          replace: '',
        },
      ],
    },
  },
  {
    name: 'a ruling makes up for a vote',
    what: 'An operator may commit what not every branch has voted for.',
    rule: 'AC3; `resolve`: nothing overrides that',
    by: {
      edits: [
        {
          file: RULINGS,
          find: "if (!allVotedToCommit(transaction, reports)) return { refusal: 'VOTES_MISSING' };",
          replace: '',
        },
        {
          file: STATE,
          find: "if (record.decision === 'commit' && !delegated && !allVotedToCommit(transaction, record.reports)) {",
          replace: 'if (!record) {',
        },
      ],
    },
  },
  {
    name: 'a ruling on one branch ends all of them',
    what: 'A forced ruling against the decision is taken down for every branch of the transaction.',
    rule: '`resolve`: `force` ends one branch only',
    by: {
      edits: [
        {
          file: RULINGS,
          find: "{ effect: 'branch-ruled', branches: [branch] }",
          replace: "{ effect: 'branch-ruled', branches: transaction.branches }",
        },
      ],
    },
  },
  {
    name: 'a branch given up counts as aborted',
    what: 'A delegated transaction whose branch is given up is aborted, as if nobody could have committed it.',
    rule: '`resolve`: what a delegated branch has done nobody knows, so it is `mixed`',
    by: {
      edits: [
        {
          file: STATE,
          find: "const mayShow = decision === 'commit' || transaction.delegatedTo !== undefined;",
          replace: "const mayShow = decision === 'commit';",
        },
      ],
    },
  },
  {
    name: 'a branch given up while it may be at work',
    what: 'A delegated transaction is given up before its deadline.',
    rule: '`resolve`: a delegated branch is given up only when it begins no work any more',
    by: {
      edits: [
        {
          file: RULINGS,
          find: "if (at < transaction.deadline) return { refusal: 'BEFORE_DEADLINE' };",
          replace: '',
        },
      ],
    },
  },
  {
    name: 'branches forgotten without force',
    what: 'An operator who gives up hazards also gives up branches that have not answered yet.',
    rule: '`resolve`: `forget` gives up hazards, and only with `force` branches that have not answered',
    by: {
      edits: [
        {
          file: RULINGS,
          find: "unanswered && !force ? { refusal: 'NEEDS_FORCE' }",
          replace: "!candidates ? { refusal: 'NEEDS_FORCE' }",
        },
      ],
    },
  },
];
