import type { InjectedBug } from './injected-bug.js';

const RUNTIME = 'libs/participant/src/runtime/participant-runtime.ts';
const RESOURCE_MANAGER = 'test/support/modelled-database/modelled-resource-manager.ts';
const CODEC = 'libs/messaging/src/contract/codec.ts';
const SESSION = 'test/support/modelled-database/database-session.ts';

/** Mistakes of the participants and of what they make of their databases. */
export const PARTICIPANT_BUGS: readonly InjectedBug[] = [
  {
    name: 'cluster not checked',
    what: 'A message is taken for one of this cluster, whatever cluster it names.',
    rule: 'messages of another cluster are never acted on',
    by: {
      edits: [
        {
          file: CODEC,
          find: "if (typeof cluster === 'string' && cluster !== own) {",
          replace: "if (cluster === '') {",
        },
        { file: CODEC, find: 'if (cluster === own) return undefined;', replace: "if (own !== '') return undefined;" },
      ],
    },
  },
  {
    name: '42704 taken as success',
    what: 'A prepared transaction that is gone when it is to be committed is taken for committed.',
    rule: 'section 5, commit: no row is a hazard, never done',
    by: {
      edits: [
        {
          file: RESOURCE_MANAGER,
          find: "return row?.vote === 'read-only' ? 'read-only' : 'heuristic-rollback';",
          replace: "return row?.vote === 'read-only' ? 'read-only' : 'committed';",
        },
      ],
    },
  },
  {
    name: "PREPARE's tag not checked",
    what: 'No statement in a failed transaction is looked at, and `PREPARE TRANSACTION` answers without an error.',
    rule: 'section 5, prepare (3): require the command tag `PREPARE`',
    by: {
      edits: [
        {
          file: RESOURCE_MANAGER,
          find: 'if (!(await session.hasWritten())) {',
          replace: 'if (!(await session.hasWritten().catch(() => true))) {',
        },
        {
          file: RESOURCE_MANAGER,
          find: "if (tag === 'ROLLBACK') throw new RolledBackError('rolled back');",
          replace: '',
        },
        {
          file: SESSION,
          find: "await this.spoiling((open) => this.insert(open, branchId, row, 'fail'));\n      return this.prepareNow(gid);",
          replace:
            "await this.spoiling((open) => this.insert(open, branchId, row, 'fail')).catch(() => undefined);\n      return this.prepareNow(gid);",
        },
      ],
    },
  },
  {
    name: 'no tombstone',
    what: 'The tombstone of an aborted branch is acknowledged and not kept.',
    rule: 'section 5, abort and no',
    by: { sabotage: 'tombstone-dropped' },
  },
  {
    name: 'second row of a branch',
    what: 'The ledger has no primary key.',
    rule: 'section 5: a tombstone makes a late insert fail on the primary key',
    by: { sabotage: 'ledger-key-ignored' },
  },
  {
    name: 'one-phase commit repeated after an unknown result',
    what: 'A delegated branch whose commit was not answered does its work again, without a look at the ledger.',
    rule: 'section 4.7: it answers a repeat from the ledger',
    by: {
      edits: [
        {
          file: SESSION,
          find: 'if (locked && !this.database.ledger.has(branchId)) return;',
          replace: 'if (locked) return;',
        },
        {
          file: SESSION,
          find: 'if (this.database.ledger.has(branchId)) {',
          replace: "if (this.database.ledger.get(branchId)?.outcome === 'aborted') {",
        },
      ],
    },
  },
  {
    name: 'prepared transactions forgotten',
    what: 'They do not outlive a crash of the database.',
    rule: 'AC1; section 5',
    by: { sabotage: 'prepared-forgotten' },
  },
  {
    name: 'yes for no',
    what: 'The participant votes yes now and then where its work has failed.',
    rule: 'AC3',
    by: { sabotage: 'vote-lies' },
  },
  {
    name: 'sweeper acts by age',
    what: 'Branches that have been prepared for long are aborted without an answer.',
    rule: 'section 5: it acts only on an answer, never by age alone',
    by: { sabotage: 'sweeper-decides-by-age' },
  },
  {
    name: 'sweeper does not ask',
    what: 'Prepared branches are listed and waited for.',
    rule: 'AC5; section 5: it inquires',
    by: {
      edits: [
        {
          file: 'libs/participant/src/runtime/sweeper.ts',
          find: 'ports.inquire(branch);',
          replace: 'void branch;',
        },
      ],
    },
  },
  {
    name: 'memory answers for the database',
    what: 'A branch that a restored database brought back is answered from memory: it has ended.',
    rule: 'AC5; section 5: the ledger and `pg_prepared_xacts` are the truth',
    by: {
      edits: [{ file: RUNTIME, find: 'this.machine.foundPrepared(transactionId, branchId);', replace: '' }],
    },
    seeds: { family: 'endurance' },
  },
  {
    name: 'phase two on the prepare pool',
    what: 'Decisions wait in one pool with work that waits for the locks which they would free.',
    rule: 'section 5: a small reserved pool',
    by: {
      edits: [
        {
          file: RUNTIME,
          find: 'this.decisionPool = new BoundedPool(this.limits.decisionConcurrency, this.limits.decisionQueue, clock);',
          replace: 'this.decisionPool = this.workPool;',
        },
      ],
    },
    seeds: { calm: true },
  },
  {
    name: 'offset committed before the effect',
    what: 'A message counts as consumed when it is taken up, not when its work is done.',
    rule: 'section 5: an offset is committed when everything below it is finished',
    by: {
      edits: [
        {
          file: RUNTIME,
          find: 'if (this.machine.isIdle(message.transactionId)) return undefined;',
          replace: 'if (message.transactionId) return undefined;',
        },
      ],
    },
  },
];
