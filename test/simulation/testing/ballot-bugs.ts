import type { InjectedBug } from './injected-bug.js';

const SECTION = 'protocol section 6';

/** Mistakes with the ballots of three phases. */
export const BALLOT_BUGS: readonly InjectedBug[] = [
  {
    name: 'ballots forgotten',
    what: 'An acceptor keeps its vote, and nothing of what it promises or accepts.',
    rule: `${SECTION}: the acceptor's state is durable`,
    by: { sabotage: 'ballots-forgotten' },
  },
  {
    name: 'vote not on record',
    what: 'A branch that has only read gives its vote without putting it on record.',
    rule: `${SECTION}: a read-only branch commits its vote before sending it`,
    by: {
      edits: [
        {
          file: 'test/support/modelled-database/modelled-resource-manager.ts',
          find: `        return this.cast(branch, { vote: 'read-only', results: attempt.results });`,
          replace: `        return { vote: 'read-only', results: attempt.results };`,
        },
      ],
    },
  },
  {
    name: 'ballot before the log',
    what: 'A leader that was outbid opens its next ballot without logging it.',
    rule: 'section 3: `PreCommit` before any request of its ballot',
    by: { model: 'branches are asked to accept before the ballot is in the log' },
  },
  {
    name: 'ballot not persisted (promise)',
    what: 'A promise is given before it is on record, and forgotten in a crash.',
    rule: `${SECTION}: durable before the answer`,
    by: { model: 'a promise is not on record before it is given' },
  },
  {
    name: 'ballot not persisted (acceptance)',
    what: 'An acceptance is given before it is on record, and forgotten in a crash.',
    rule: `${SECTION}: durable before the answer`,
    by: { model: 'an acceptance is not on record before it is given' },
  },
  {
    name: 'never voted decides',
    what: 'A branch without a vote answers a ballot with the decision abort, against what others have accepted.',
    rule: `${SECTION}: only a majority's answers decide`,
    by: { model: 'that a branch has never voted decides, against what others have accepted' },
  },
  {
    name: 'amnesia ignored',
    what: 'An acceptor whose database has lost its last writes goes on as one.',
    rule: `${SECTION}: it abstains`,
    by: { model: 'an acceptor that has lost its last writes goes on as one' },
  },
  {
    name: 'no look at the database',
    what: 'A new connection is used without a look whether the database is the one that it was.',
    rule: `${SECTION}: a database that has lost its last writes abstains`,
    by: {
      edits: [
        {
          file: 'test/support/modelled-database/modelled-resource-manager.ts',
          find: 'if (this.knownEpoch === epoch) return;',
          replace: 'if (this.knownEpoch >= 0) return;',
        },
      ],
    },
  },
  {
    name: 'majority miscounted',
    what: 'Half of the branches is taken for a majority.',
    rule: `${SECTION}: any two majorities meet`,
    by: { model: 'half of the branches is taken for a majority' },
  },
  {
    name: 'read-only vote of a 3PC branch not durable',
    what: 'A branch that has only read answers a ballot after a crash as one that never voted.',
    rule: `${SECTION}: it would look like one that never voted`,
    by: { model: 'a read-only vote is not on record' },
  },
  {
    name: 'two leaders sharing a ballot round',
    what: 'A new leader goes on with the round of its predecessor.',
    rule: `${SECTION}: a round is used only by the leader that logged it`,
    by: { model: 'a new leader goes on with the ballot of its predecessor' },
  },
  {
    name: 'abort after PreCommit without a ballot',
    what: 'A transaction under a ballot is aborted at its deadline.',
    rule: 'section 2: no abort after `PreCommit` outside the ballot rule',
    by: { model: 'a transaction under a ballot is aborted at its deadline, and the log takes it' },
  },
  {
    name: 'deciding by timeout',
    what: "A branch that has waited long enough decides by itself, as in the textbook's protocol.",
    rule: `${SECTION}: only a majority decides`,
    by: { model: 'a branch decides when it has waited long enough' },
  },
  {
    name: 'accepted value ignored',
    what: 'A proposer does not heed what was accepted in a lower ballot.',
    rule: `${SECTION}: the value of the highest accepted ballot`,
    by: { model: 'what was accepted in a lower ballot is not heeded' },
  },
  {
    name: 'lower ballot answered',
    what: 'An acceptor answers a ballot below one that it has promised.',
    rule: `${SECTION}: refuses lower ones`,
    by: { model: 'an acceptor answers a ballot that is lower than what it has promised' },
  },
];
